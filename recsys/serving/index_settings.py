"""Which index answers, and how it is built and asked. Used by the index and its tuning."""

from typing import Literal

from pydantic import Field

from recsys.settings import Section

Kind = Literal["auto", "exact", "sq8", "pq", "ivf", "ivf_pq", "hnsw"]
FEWEST = 64  # items that 4-bit codes can be learned from
REFINED = ("pq", "ivf_pq")  # these rescore what they find by the vectors themselves


class IndexSettings(Section):
    """Which index answers."""

    kind: Kind = Field(
        "exact",
        description="exact search (best to about 100,000 items on a CPU); 8-bit codes; 4-bit codes "
        "and a second look; IVF, and IVF over 4-bit codes; HNSW; auto: the cheapest of these that "
        "reaches the wanted recall on the night's own vectors",
    )
    recall: float = Field(
        0.99, gt=0, le=1, description="auto: share of the exact candidates that must be found"
    )
    memory_mb: int = Field(0, ge=0, description="auto: size of the index, in MB; 0 for any")
    lists: int = Field(0, ge=0, description="ivf: inverted lists; 0 takes 4 * sqrt(items)")
    probes: int = Field(16, ge=1, description="ivf: lists that a query looks into")
    refine: float = Field(
        4.0, ge=1, le=1000, description="4-bit codes: items rescored for each one asked for"
    )
    neighbours: int = Field(32, ge=2, le=256, description="hnsw: links per item")
    build_effort: int = Field(100, ge=8, description="hnsw: candidates looked at while building")
    search_effort: int = Field(128, ge=8, description="hnsw: candidates looked at in a search")
    shard_items: int = Field(
        2_000_000,
        ge=100,
        description="items of one part of an approximate index; each is built in memory and then "
        "lies in a file of the work folder",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu",
        description="where exact search multiplies, and where inverted lists are filled if faiss "
        "can use a GPU; auto takes the GPU where there is one",
    )

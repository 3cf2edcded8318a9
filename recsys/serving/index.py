"""Nearest items to a vector by inner product, the measure that the towers were trained with.

Built each night over the items that may be listed; the candidates ask it. The only file that
imports faiss.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsys import durable
from recsys.errors import InputFault, MismatchFault
from recsys.settings import Section

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
METRIC = "inner_product"
FILE, DESCRIPTION = "index.faiss", "index.json"


class IndexSettings(Section):
    """Which index answers."""

    kind: Literal["exact", "ivf", "hnsw"] = Field(
        "exact", description="exact search (best to about 100,000 items on a CPU), IVF, or HNSW"
    )
    lists: int = Field(0, ge=0, description="ivf: inverted lists; 0 takes 4 * sqrt(items)")
    probes: int = Field(16, ge=1, description="ivf: lists that a query looks into")
    neighbours: int = Field(32, ge=2, le=256, description="hnsw: links per item")
    build_effort: int = Field(100, ge=8, description="hnsw: candidates looked at while building")
    search_effort: int = Field(128, ge=8, description="hnsw: candidates looked at in a search")


@dataclass(frozen=True)
class Index:
    """A built index; its positions stand for catalogue rows.

    Attributes:
        rows: `[n]` catalogue row of each position.
        width: D.
        checksum: of the vocabulary that the rows belong to.
        settings: that it was built with.
    """

    rows: Rows
    width: int
    checksum: str
    settings: IndexSettings
    _index: Any

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Rows, Vectors]:
        """The k best items of each query, best first; equal scores stand in row order.

        Args:
            queries: `[q, D]` finite.
            k: how many; fewer come back where the index holds or finds fewer.
            allowed: bool by catalogue row, `[N]`; only these are found. None allows all.

        Returns:
            rows `[q, k]`, -1 where nothing was found, and inner products, -inf there.

        Raises:
            MismatchFault: queries are of another width than the index.
            InputFault: a query is not finite.
        """
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise MismatchFault(
                "queries and index differ in width",
                value=f"{queries.shape[-1]} and {self.width}", where="the index",
                fix="build the index with the model that makes the queries",
            )  # fmt: skip
        if not np.isfinite(queries).all():
            bad = int((~np.isfinite(queries).all(axis=1)).sum())
            raise InputFault("queries are not finite", value=f"{bad} of {len(queries)}",
                             where="the index", fix="look for a diverged model")  # fmt: skip
        found = min(k, len(self))
        scores = np.full((len(queries), k), -np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        if found and len(queries):
            some, places = self._index.search(
                np.ascontiguousarray(queries), found, params=self._only(allowed)
            )
            scores[:, :found] = np.where(places >= 0, some, -np.inf)
            rows[:, :found] = np.where(places >= 0, self.rows[places], -1)
        # faiss gives equal scores in any order
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def _only(self, allowed: Mask | None) -> Any:
        """Search parameters with a selector; they replace those of the index."""
        if allowed is None:
            return None
        library: Any = faiss  # its type stubs lack what its wrappers add
        bits = np.packbits(allowed[self.rows], bitorder="little")
        selector = library.IDSelectorBitmap(bits)
        match self.settings.kind:
            case "exact":
                return library.SearchParameters(sel=selector)
            case "ivf":
                return library.SearchParametersIVF(sel=selector, nprobe=self._index.nprobe)
            case "hnsw":
                effort = self.settings.search_effort
                return library.SearchParametersHNSW(sel=selector, efSearch=effort)


def build(vectors: Vectors, rows: Rows, checksum: str, settings: IndexSettings) -> Index:
    """Builds an index.

    Args:
        vectors: `[n, D]` item vectors.
        rows: `[n]` their catalogue rows, ascending.
        checksum: of the catalogue's vocabulary.
        settings: which index.

    Raises:
        InputFault: a vector is not finite or zero; says which.
    """
    _refuse_unusable(vectors, rows)
    count, width = vectors.shape
    vectors = np.ascontiguousarray(vectors, np.float32)
    index: Any
    match settings.kind:
        case "exact":
            index = faiss.IndexFlatIP(width)
        case "ivf":
            lists = min(settings.lists or max(1, int(4 * count**0.5)), max(1, count // 39))
            index = faiss.IndexIVFFlat(
                faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT
            )
            index.nprobe = min(settings.probes, lists)
            if count:
                index.train(vectors)
        case "hnsw":
            index = faiss.IndexHNSWFlat(width, settings.neighbours, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = settings.build_effort
            index.hnsw.efSearch = settings.search_effort
    if count:
        index.add(vectors)
    return Index(rows, width, checksum, settings, index)


def write(index: Index, folder: Path) -> None:
    """Writes the index into an existing folder, usually one that is being published."""
    faiss.write_index(index._index, str(folder / FILE))
    np.save(folder / "rows.npy", index.rows, allow_pickle=False)
    description = {
        "metric": METRIC,
        "width": index.width,
        "items": len(index),
        "vocabulary": index.checksum,
        "settings": index.settings.model_dump(),
    }
    durable.write_json(folder / DESCRIPTION, description)


def read(folder: Path, checksum: str) -> Index:
    """Reads an index; check the folder's manifest before.

    Raises:
        InputFault: a file is missing or damaged.
        MismatchFault: it belongs to another catalogue, metric, or its parts do not fit.
    """
    import json

    path = folder / FILE
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        rows = np.load(folder / "rows.npy", allow_pickle=False)
        # a damaged header may claim a terabyte; no index is larger than twice its file
        faiss.set_deserialization_vector_byte_limit(max(1 << 20, 2 * path.stat().st_size))
        index = faiss.read_index(str(path))
        settings = IndexSettings.model_validate(described["settings"])
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputFault(
            f"the index cannot be read: {str(error)[:200]}", where=str(path), fix="build it again"
        ) from None
    facts = {
        "metric": (described.get("metric"), METRIC),
        "vocabulary": (described.get("vocabulary"), checksum),
        "items": (index.ntotal, len(rows)),
        "width": (index.d, described.get("width")),
        "measure": (index.metric_type, faiss.METRIC_INNER_PRODUCT),
    }
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise MismatchFault(
                f"the index does not fit: {name}", value=f"{found} instead of {wanted}",
                where=str(folder), fix="build it again for this model and catalogue",
            )  # fmt: skip
    return Index(rows, index.d, checksum, settings, index)


def _refuse_unusable(vectors: Vectors, rows: Rows) -> None:
    lengths = np.linalg.norm(vectors, axis=1)
    bad = ~np.isfinite(lengths) | (lengths == 0)
    if bad.any():
        raise InputFault(
            f"{int(bad.sum())} of {len(vectors)} item vectors are zero or not finite",
            value=f"catalogue rows {', '.join(map(str, rows[bad][:10]))}", where="the index",
            fix="look for features that are not finite, or an older model",
        )  # fmt: skip

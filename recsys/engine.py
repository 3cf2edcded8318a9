"""Running one function over the user buckets: one after the other, or in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import Field

from recsys.settings import Section

R = TypeVar("R")


class EngineSettings(Section):
    """How the work over user buckets is spread."""

    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="buckets worked on at once; torch and faiss thread by themselves",
    )


def map_buckets(
    function: Callable[[int], R], buckets: Sequence[int], settings: EngineSettings
) -> list[R]:
    """`function` of every bucket, in the order of `buckets`, whatever the number of threads."""
    if settings.threads == 1:
        return [function(bucket) for bucket in buckets]
    with ThreadPoolExecutor(settings.threads) as pool:
        return list(pool.map(function, buckets))

"""Running one function over the user buckets: in this process or in spawned local processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from pydantic import Field

from recsys.settings import Section

R = TypeVar("R")


class EngineSettings(Section):
    """How the work over user buckets is spread."""

    processes: int = Field(1, ge=1, le=256, description="local processes; 1 runs in this one")


def map_buckets(
    function: Callable[[int], R], buckets: Sequence[int], settings: EngineSettings
) -> list[R]:
    """`function` of every bucket, in the order of `buckets`, whatever the number of processes.

    With more than one process `function` must be importable by name. Processes are spawned, never
    forked: a fork after multi-threaded torch or faiss deadlocks.
    """
    if settings.processes == 1 or len(buckets) <= 1:
        return [function(bucket) for bucket in buckets]
    with ProcessPoolExecutor(settings.processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, buckets))

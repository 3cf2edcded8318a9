"""Running one function over many parts: in turn, in threads, or over a Ray cluster.

`map_buckets` is for what needs only its part (files, buckets of users), `stream` for what has to be
made ready first (encoders). On Ray these are tasks and actors; what they read and write lies on
storage that all nodes see under the same path. The only module that knows Ray.
"""

import contextlib
import logging
import os
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, TypeVar

from pydantic import Field

from recsys.errors import ResourceFault, UsageFault
from recsys.offline import stay_offline
from recsys.settings import Section

P = TypeVar("P")
R = TypeVar("R")
Work = Callable[[Iterable[P]], Iterator[R]]
MOST = 16  # parts worked on at once unless more are asked for: each wants memory of its own
AHEAD = 2  # parts that a worker has at once: the next is there when one is done


class EngineSettings(Section):
    """How the work over users, files and items is spread."""

    kind: Literal["local", "ray"] = Field(
        "local", description="this process, or a Ray cluster (extra `scale`)"
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="local: blocks of users or items worked on at once, a core each; 0: as many as "
        "torch has threads (OMP_NUM_THREADS), 16 at most, but for ingest one, which polars spreads",
    )
    address: str = Field(
        "", description="ray: of a running cluster, or auto; empty starts one on this machine"
    )
    retries: int = Field(
        3, ge=0, le=100, description="ray: how often a part is tried again after a lost node"
    )

    def in_turn(self) -> "EngineSettings":
        """The same for parts that are large, or spread over the cores by themselves."""
        return self.model_copy(update={"threads": self.threads or 1})

    def here(self) -> "EngineSettings":
        """The same on this machine alone."""
        return self.model_copy(update={"kind": "local"})


HERE = EngineSettings()


def map_buckets(
    function: Callable[[P], R], parts: Iterable[P], settings: EngineSettings
) -> Iterator[R]:
    """`function` of every part, in the order of `parts`, wherever it runs.

    Parts are taken, and results are there, as the caller asks for them: only as many are held as
    it takes to keep everybody busy. Each is worked on by one thread, torch's included: so cores are
    busier than where all work on one part, and results do not depend on how many there are.

    Args:
        function: of one part, a bucket's number or its rows; for Ray it and what it refers to are
            sent to every node once, so it should refer to no more than it needs.
        parts: what to work on, one task each.
        settings: where.

    Raises:
        UsageFault: Ray is asked for and not installed, or there is no cluster at the address.
        ResourceFault: a part was lost with its node more often than `retries`.
    """
    if settings.kind == "ray":
        yield from _by_tasks(_joined(settings), function, parts, settings.retries)
        return
    with _a_core_each() as cores:
        threads = settings.threads or min(cores, MOST)
        if threads == 1:
            yield from map(function, parts)
            return
        with ThreadPoolExecutor(threads) as pool:
            begun = _ahead(lambda part: pool.submit(function, part), parts, lambda: AHEAD * threads)
            yield from (future.result() for future in begun)


@contextlib.contextmanager
def _a_core_each() -> Iterator[int]:
    """Inside, who calls torch has one thread of it; gives the number that there are outside."""
    torch: Any = sys.modules.get("torch")
    cores: int = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        yield cores
    finally:
        if torch:
            torch.set_num_threads(cores)


def _ahead(start: Callable[[P], R], parts: Iterable[P], most: Callable[[], int]) -> Iterator[R]:
    """What `start` gives for every part, in their order; `most` are started before one is due."""
    waiting: deque[R] = deque()
    for part in parts:
        waiting.append(start(part))
        if len(waiting) >= most():
            yield waiting.popleft()
    yield from waiting


def stream(
    make: Callable[[], Work[P, R]], parts: Sequence[P], settings: EngineSettings, *, gpu: bool
) -> Iterator[R]:
    """What the work that `make` makes ready yields for every part: one result each.

    Here the work is given all parts in one go, so that it can prepare the next one. On Ray every
    actor makes it for itself and is given one part at a time; results come as they are ready.

    Args:
        make: called once by every process that works.
        parts: what to work on.
        settings: where.
        gpu: on Ray, an actor for each GPU where the cluster has any, instead of each core.

    Raises:
        UsageFault, ResourceFault: as `map_buckets`.
    """
    if settings.kind == "ray" and parts:
        yield from _by_actors(_joined(settings), make, parts, settings.retries, gpu=gpu)
    elif parts:
        yield from make()(parts)


def _joined(settings: EngineSettings) -> Any:
    """Ray, in a cluster: joined by the first who asks, and left with the process."""
    stay_offline()
    try:
        import ray
    except ImportError:
        raise UsageFault(
            "Ray is not installed", where="engine.kind", fix="pip install 'recsys[scale]'"
        ) from None
    try:
        if not ray.is_initialized():
            ray.init(
                address=settings.address or None, log_to_driver=False, logging_level=logging.ERROR
            )
    except (ConnectionError, ValueError) as error:
        raise UsageFault(
            f"there is no Ray cluster: {str(error).splitlines()[0]}", value=settings.address,
            where="engine.address", fix="start one with `ray start --head`, or leave it empty",
        ) from None  # fmt: skip
    return ray


def leave() -> None:
    """Leaves the cluster at the end of a command, and ends one that was started for it."""
    if ray := sys.modules.get("ray"):
        ray.shutdown()


def _by_tasks(
    ray: Any, function: Callable[[P], R], parts: Iterable[P], retries: int
) -> Iterator[R]:
    def most() -> int:  # nodes come and go
        return AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))

    try:
        task = ray.remote(max_retries=retries, num_cpus=1)(_called)
        shared = [ray.put((function, Path.cwd()))]  # in a list: a task is given the reference
        begun: Iterator[Any] = _ahead(lambda part: task.remote(shared, part), parts, most)
        yield from map(ray.get, begun)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        _lost(error)


_held: dict[Any, Callable[[Any], Any]] = {}


def _called(shared: list[Any], part: Any) -> Any:
    """In a task: the function is unpacked once for all tasks of its process."""
    stay_offline()
    import ray

    if shared[0] not in _held:
        _held.clear()
        _held[shared[0]], folder = ray.get(shared[0])
        _go_to(folder)
    return _held[shared[0]](part)


def _go_to(folder: Path) -> None:
    """Relative paths mean the same there; a node without that folder may have absolute ones."""
    with contextlib.suppress(OSError):
        os.chdir(folder)


def _by_actors(
    ray: Any, make: Callable[[], Work[P, R]], parts: Sequence[P], retries: int, *, gpu: bool
) -> Iterator[R]:
    """Results as they are ready; a lost actor's parts go to the others, or to new ones."""
    shared, todo = ray.put((make, Path.cwd())), deque(range(len(parts)))
    actors: list[Any] = []
    busy: dict[Any, tuple[Any, int]] = {}
    tries = Counter[int]()
    try:
        while todo or busy:
            actors = actors or _hired(ray, shared, len(todo), gpu=gpu)
            _deal(actors, busy, todo, parts)
            [ready], _ = ray.wait(list(busy), num_returns=1)
            one, number = busy.pop(ready)
            try:
                result: R = ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                tries[number] += 1
                if tries[number] > retries:
                    _lost(error)
                actors = [other for other in actors if other is not one]
                todo.appendleft(number)
            else:
                yield result
    finally:
        for one in actors:  # whatever still refers to them: the next ones need their cores
            ray.kill(one)


def _hired(ray: Any, shared: Any, most: int, *, gpu: bool) -> list[Any]:
    """An actor for each GPU or core that there is now.

    Those on cores hold none, so that they find a place also where a node has just been lost.
    """
    resources = ray.cluster_resources()
    kind = "GPU" if gpu and resources.get("GPU", 0) >= 1 else "CPU"
    needs = {"num_gpus": 1} if kind == "GPU" else {}
    actor = ray.remote(max_concurrency=AHEAD, scheduling_strategy="SPREAD", **needs)(_Actor)
    return [actor.remote(shared) for _ in range(min(most, max(1, int(resources.get(kind, 1)))))]


def _deal(
    actors: list[Any], busy: dict[Any, tuple[Any, int]], todo: deque[int], parts: Sequence[Any]
) -> None:
    """Gives parts to actors that have less than they may have, to those with the least first."""
    load = Counter(one for one, _ in busy.values())
    for one in sorted(actors * AHEAD, key=lambda one: load[one]):
        if todo and load[one] < AHEAD:
            number, load[one] = todo.popleft(), load[one] + 1
            busy[one.work.remote(parts[number])] = (one, number)


class _Actor(Generic[P, R]):
    """A process of the cluster that keeps its work ready."""

    def __init__(self, shared: tuple[Callable[[], Work[P, R]], Path]) -> None:
        self._make, self._lock = shared[0], threading.Lock()
        _go_to(shared[1])
        self._made: Work[P, R] | None = None

    def work(self, part: P) -> R:
        """The one result of a part."""
        with self._lock:
            self._made = self._made or self._make()
        [result] = self._made([part])
        return result


def _lost(error: Exception) -> NoReturn:
    lines = str(error).strip().splitlines()
    raise ResourceFault(
        f"Ray lost a part of the work: {lines[0]}", value=lines[-1].strip(), where="the cluster",
        fix="look after its nodes, or raise engine.retries, and run the same command again",
    ) from None  # fmt: skip

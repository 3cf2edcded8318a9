"""map_buckets: the same result in turn, in threads and on Ray, also after a node is killed."""

import importlib.util
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch

from recsys.engine import AHEAD, EngineSettings, Work, leave, map_buckets, stream
from recsys.errors import InputFault, UsageFault

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")


def test_threads_change_nothing() -> None:
    buckets = [3, 1, 2]
    for threads in (1, 2):
        assert list(map_buckets(lambda b: b * b, buckets, EngineSettings(threads=threads))) == [
            9,
            1,
            4,
        ]


def test_who_works_has_one_thread_of_torch() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for settings, workers in (
            (EngineSettings(), 3), (EngineSettings(threads=2), 2), (EngineSettings().in_turn(), 1)
        ):  # fmt: skip
            meet = threading.Barrier(workers, timeout=60)  # all have to work at once

            def work(_: int, meet: threading.Barrier = meet) -> int:
                meet.wait()
                return torch.get_num_threads()

            assert list(map_buckets(work, range(2 * workers), settings)) == [1] * 2 * workers
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_who_stops_in_the_middle_has_the_threads_back() -> None:
    before = torch.get_num_threads()
    results = map_buckets(lambda part: part, range(9), EngineSettings(threads=2))
    assert next(results) == 0
    results.close()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_is_held_than_keeps_everybody_busy(threads: int) -> None:
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(100):
            taken.append(part)
            yield part

    results = map_buckets(lambda part: -part, parts(), EngineSettings(threads=threads))
    for number, result in enumerate(results):
        assert result == -number
        assert len(taken) - number <= AHEAD * threads
    assert len(taken) == 100


def test_without_ray_the_fault_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageFault, match="not installed"):
        list(map_buckets(lambda b: b, [1], EngineSettings(kind="ray")))


def test_a_stream_here_is_one_call_over_all_parts() -> None:
    given: list[list[int]] = []

    def make() -> Work[int, int]:
        def work(parts: Iterable[int]) -> Iterator[int]:
            given.append(list(parts))
            yield from (part * part for part in given[-1])

        return work

    assert list(stream(make, [3, 1, 2], EngineSettings(), gpu=False)) == [9, 1, 4]
    assert given == [[3, 1, 2]]
    assert list(stream(make, [], EngineSettings(), gpu=False)) == []
    assert len(given) == 1  # nothing to do: nothing is made ready


@needs_ray
@pytest.mark.slow
def test_a_killed_node_changes_nothing_but_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    begun = str(tmp_path)

    def slow_square(part: int) -> int:
        Path(begun, f"{part}-{os.getpid()}").touch()
        time.sleep(1.0)
        return part * part

    def refused(part: int) -> int:
        raise InputFault("no such part", value=part)

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        other = cluster.add_node(num_cpus=1)
        settings = EngineSettings(kind="ray", address=cluster.address)
        from threading import Timer

        def kill() -> None:
            while len(list(tmp_path.iterdir())) < 2:  # both nodes are at work
                time.sleep(0.05)
            cluster.remove_node(other, allow_graceful=False)

        timer = Timer(0.0, kill)
        timer.start()
        assert list(map_buckets(slow_square, range(6), settings)) == [0, 1, 4, 9, 16, 25]
        timer.join()
        assert len(list(tmp_path.iterdir())) >= 6
        with pytest.raises(InputFault, match="no such part"):
            list(map_buckets(refused, [1], settings))
    finally:
        leave()
        cluster.shutdown()

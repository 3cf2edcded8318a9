"""map_buckets: the same result whatever the number of processes."""

from recsys.engine import EngineSettings, map_buckets


def square(bucket: int) -> int:
    return bucket * bucket


def test_processes_change_nothing() -> None:
    buckets = [3, 1, 2]
    assert map_buckets(square, buckets, EngineSettings()) == [9, 1, 4]
    assert map_buckets(square, buckets, EngineSettings(processes=2)) == [9, 1, 4]

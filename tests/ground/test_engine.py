"""map_buckets: the same result whatever the number of threads."""

from recsys.engine import EngineSettings, map_buckets


def test_threads_change_nothing() -> None:
    buckets = [3, 1, 2]
    for threads in (1, 2):
        assert map_buckets(lambda b: b * b, buckets, EngineSettings(threads=threads)) == [9, 1, 4]

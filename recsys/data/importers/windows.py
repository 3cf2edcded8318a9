"""How long validation and test windows must be to hold enough events of an imported log."""

import datetime
import math
from pathlib import Path

import polars as pl

SHARE = 0.01  # of all events that a window shall hold
ENOUGH = 100_000  # events that are enough, however large the log
SHORTEST, LONGEST = 7, 3650  # days
DAY = datetime.timedelta(days=1)


def days(path: Path) -> dict[str, float]:
    """`validation_days` and `test_days` for the settings: whole days, a week at least.

    The tail of a public log is often thin: the last week of MovieLens-1M has 381 of a million
    events, too few to judge by.

    Args:
        path: interactions.parquet, with `timestamp`.
    """
    times = pl.scan_parquet(path).select("timestamp").drop_nulls()
    count, end = times.select(pl.len(), pl.max("timestamp").alias("end")).collect().row(0)
    needed = min(max(1, int(count * SHARE)), ENOUGH)
    lengths = {}
    for name in ("test_days", "validation_days"):
        latest = times.filter(pl.col("timestamp") <= end).select(
            pl.col("timestamp").top_k(needed).min()
        )
        start = latest.collect().item()
        length = math.ceil((end - start) / DAY) if start else SHORTEST
        lengths[name] = float(min(max(length, SHORTEST), LONGEST))
        end -= lengths[name] * DAY
    return lengths

"""Which times can be right, and which unit an epoch number is probably in."""

import datetime

import polars as pl

from recsys.data.settings import DataSettings
from recsys.errors import InputFault

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # how many make a second
DAY = 86_400.0
LAST_SECOND = 253_402_300_799  # the end of the year 9999


def check_range(
    frame: pl.DataFrame, settings: DataSettings, now_seconds: float, file: str
) -> pl.DataFrame:
    """Marks times before `data.earliest` or more than a day after now.

    Args:
        frame: from `timestamps.parse`.
        settings: the earliest day.
        now_seconds: the present, epoch seconds.
        file: for messages.

    Raises:
        InputFault: the median lies outside; the unit that would fit is named.
    """
    low, high = _bounds(settings, now_seconds)
    median = frame["seconds"].median()
    if isinstance(median, float) and not low <= median <= high:
        number = median * UNITS.get(settings.timestamp_unit, 1.0)
        unit = likely_unit(number, low, high)
        raise InputFault(
            f"half of the times are outside {_day(low)} .. {_day(high)}",
            value=f"median {_day(median)}", where=f"{file}: timestamp",
            fix=f"set data.timestamp_unit = {unit!r}" if unit and settings.timestamp_unit
            else "look at the producer's clock, or set data.earliest",
        )  # fmt: skip
    outside = ~pl.col("seconds").is_between(low, high)
    return frame.with_columns(
        code=pl.when(pl.col("code").is_null() & outside)
        .then(pl.lit("timestamp_range"))
        .otherwise("code")
    )


def likely_unit(number: float, low: float, high: float) -> str | None:
    """The unit that puts the epoch number `number` between `low` and `high` (seconds)."""
    return next((unit for unit, size in UNITS.items() if low <= number / size <= high), None)


def _bounds(settings: DataSettings, now_seconds: float) -> tuple[float, float]:
    midnight = datetime.datetime.combine(settings.earliest, datetime.time(), datetime.UTC)
    return midnight.timestamp(), now_seconds + DAY


def _day(seconds: float) -> str:
    if not -62_135_596_800 <= seconds <= LAST_SECOND:
        return f"{seconds:.3g} s"
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (start + datetime.timedelta(seconds=seconds)).date().isoformat()

"""Which events train, which validate, which test: a cut in time, leave-one-out, or at random.

The train and evaluate stages call it on the cleaned log.
"""

import datetime
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from recsys.errors import UsageFault
from recsys.settings import Section

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")
ORDER = ("user_id", "timestamp", "sequence")


class SplitSettings(Section):
    """How the log is divided for training and for offline evaluation."""

    kind: Literal["global_time", "leave_one_out", "random_80_10_10"] = Field(
        "global_time",
        description="a cut in time for all users; each user's last two events; or at random by "
        "event (the last two exist for comparison with published tables)",
    )
    validation_days: float = Field(7.0, gt=0, description="Days before the test window.")
    test_days: float = Field(7.0, gt=0, description="Days of the test window, the newest.")
    end: str = Field(
        "",
        description="End of the test window, ISO 8601 with offset; empty ends after the newest "
        "event. Later events are left out.",
    )
    seed: int = Field(0, ge=0, description="Of the random split.")

    @field_validator("end")
    @classmethod
    def _zoned(cls, end: str) -> str:
        if end and datetime.datetime.fromisoformat(end).tzinfo is None:
            raise ValueError("needs an offset, as in 2026-10-30T00:00:00Z")
        return end


@dataclass(frozen=True)
class Window:
    """One offline question: from `history`, what did each user do in the window?

    Attributes:
        history: events that the lists may know, sorted by user and time.
        relevant: events of the window.
        at_seconds: the moment of the lists: the cut, or for splits by user the end of the history.
    """

    history: pl.DataFrame
    relevant: pl.DataFrame
    at_seconds: int


@dataclass(frozen=True)
class Split:
    """The log with a column `part` (0 train, 1 validation, 2 test), and the two cuts.

    Attributes:
        frame: sorted by (user_id, timestamp, sequence).
        validation_seconds: where the validation window begins; for splits by user, the log's end.
        test_seconds: where the test window begins; for splits by user, the log's end.
    """

    frame: pl.DataFrame
    validation_seconds: int
    test_seconds: int

    def part(self, part: int) -> pl.DataFrame:
        """Events of one part."""
        return self.frame.filter(pl.col("part") == part).drop("part")

    def window(self, part: int) -> Window:
        """The validation (1) or the test window (2), with all parts before it as history."""
        history = self.frame.filter(pl.col("part") < part).drop("part")
        at = self.validation_seconds if part == VALIDATION else self.test_seconds
        return Window(history, self.part(part), at)


def split(frame: pl.DataFrame, settings: SplitSettings) -> Split:
    """Divides a cleaned log.

    Raises:
        UsageFault: a part is empty; names it and what to change.
    """
    frame = frame.sort(ORDER)
    if settings.end:
        end = datetime.datetime.fromisoformat(settings.end).astimezone(datetime.UTC)
        frame = frame.filter(pl.col("timestamp") < end)
    _refuse_empty(frame, "log", settings)
    match settings.kind:
        case "global_time":
            done = _by_time(frame, settings)
        case "leave_one_out":
            done = _by_user(frame, _last_two())
        case "random_80_10_10":
            done = _by_user(frame, _at_random(len(frame), settings.seed))
    for part, name in enumerate(PARTS):
        _refuse_empty(done.part(part), name, settings)
    return done


def _by_time(frame: pl.DataFrame, settings: SplitSettings) -> Split:
    end = newest_seconds(frame) + 1
    if settings.end:
        end = int(datetime.datetime.fromisoformat(settings.end).timestamp())
    test = int(end - settings.test_days * 86_400)
    validation = int(test - settings.validation_days * 86_400)
    time = pl.col("timestamp").dt.epoch("us")
    part = (time >= validation * 1_000_000).cast(pl.Int8) + (time >= test * 1_000_000).cast(pl.Int8)
    return Split(frame.with_columns(part=part), validation, test)


def _by_user(frame: pl.DataFrame, part: pl.Expr | pl.Series) -> Split:
    end = newest_seconds(frame) + 1
    return Split(frame.with_columns(part=part), end, end)


def _last_two() -> pl.Expr:
    """The last event of a user is test, the one before validation; users with fewer only train."""
    from_end = pl.len().over("user_id") - 1 - pl.int_range(pl.len()).over("user_id")
    enough = pl.len().over("user_id") >= len(PARTS)
    return (
        pl.when(enough & (from_end == 0))
        .then(TEST)
        .when(enough & (from_end == 1))
        .then(VALIDATION)
        .otherwise(TRAIN)
        .cast(pl.Int8)
    )


def _at_random(events: int, seed: int) -> pl.Series:
    draws = np.random.default_rng(seed).random(events)
    return pl.Series(np.digitize(draws, [0.8, 0.9]).astype(np.int8))


def newest_seconds(frame: pl.DataFrame) -> int:
    """Epoch seconds of the newest event.

    Raises:
        UsageFault: there is none.
    """
    newest = frame["timestamp"].max()
    if not isinstance(newest, datetime.datetime):
        raise UsageFault("the log holds no events", where="interactions", fix="ingest a log first")
    return int(newest.timestamp())


def _refuse_empty(frame: pl.DataFrame, name: str, settings: SplitSettings) -> None:
    if frame.is_empty():
        raise UsageFault(
            f"the {name} part of the split is empty",
            value=f"kind {settings.kind}, validation {settings.validation_days} days, "
            f"test {settings.test_days} days, end {settings.end or 'newest event'}",
            where="split", fix="shorten the windows or move split.end into the log",
        )  # fmt: skip

"""Cuts interactions into training, validation and test, and says what each may be judged by.

The default is one cut in time, as a shop lives it. Leave-one-out and the random split exist for
comparison with published tables: both let training see the future.
"""

import datetime
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from recsys.data import windows
from recsys.data.histories import ordered
from recsys.errors import UsageFault
from recsys.settings import Section

DAY_SECONDS = 86_400
TRAIN, VALIDATION, TEST = 0, 1, 2
NAMES = ("training", "validation", "test")
FEWEST = 3  # events of a user below which leave-one-out and random leave all of them in training


class SplitSettings(Section):
    """Which events train, which choose the model, which judge it."""

    kind: Literal["global_time", "leave_one_out", "random_80_10_10"] = Field(
        "global_time",
        description="One cut in time, each user's last two events, or a random tenth twice.",
    )
    validation_days: float = Field(
        0.0,
        ge=0,
        le=3650,
        description="Length of the validation window before the test window; 0: a week, or as long "
        "as it takes to hold a hundredth of the log's events.",
    )
    test_days: float = Field(
        0.0,
        ge=0,
        le=3650,
        description="Length of the test window, the last of the log; 0: chosen as for validation.",
    )
    end: str = Field(
        "",
        description="End of the test window, as 2026-03-01 or 2026-03-01T06:00Z; empty: after the "
        "newest event. Later events are left out.",
    )
    seed: int = Field(0, ge=0, description="Of the random split.")

    @field_validator("end", mode="before")
    @classmethod
    def _moment(cls, value: object) -> object:
        if isinstance(value, datetime.date):  # TOML's own, without quotes
            value = value.isoformat()
        if isinstance(value, str) and value:
            _end_seconds(value)
        return value


@dataclass(frozen=True)
class Window:
    """What a model may know, and what it shall have foreseen.

    Attributes:
        history: events that may be known.
        relevant: events of the part; what a list should have held.
        at_seconds: the moment lists are made for, epoch seconds; of leave-one-out and random splits
            the end of the log, as every event has its own moment there.
    """

    history: pl.DataFrame
    relevant: pl.DataFrame
    at_seconds: int


@dataclass(frozen=True)
class Split:
    """Interactions with their part.

    Attributes:
        frame: sorted by (user_id, timestamp, sequence), with `part`: 0 train, 1 validation, 2 test.
        kind: as in the settings.
        validation_seconds: start of the validation window, epoch seconds; None without one.
        test_seconds: start of the test window; None without one.
        end_seconds: end of the log.
        left_out: events at or after the stated end.
    """

    frame: pl.DataFrame
    kind: str
    validation_seconds: int | None
    test_seconds: int | None
    end_seconds: int
    left_out: int = 0

    def window(self, part: int) -> Window:
        """The window of validation (1) or test (2).

        For test, validation is history; not so in the random split, whose published tables keep
        the validation items among the candidates.

        Raises:
            ValueError: another part.
        """
        if part not in (VALIDATION, TEST):
            raise ValueError(f"a window is 1 (validation) or 2 (test), not {part}")
        known = VALIDATION if self.kind == "random_80_10_10" else part
        start = self.validation_seconds if part == VALIDATION else self.test_seconds
        return Window(
            history=self.frame.filter(pl.col("part") < known).drop("part"),
            relevant=self.frame.filter(pl.col("part") == part).drop("part"),
            at_seconds=self.end_seconds if start is None else start,
        )


def split(frame: pl.DataFrame, settings: SplitSettings) -> Split:
    """Gives every event its part.

    Args:
        frame: cleaned interactions.
        settings: where to cut.

    Raises:
        UsageFault: a part would be empty; it and the dates of the log are named.
    """
    if frame.is_empty():
        raise UsageFault("there are no events to split", where="split", fix="ingest a fuller log")
    events = ordered(frame)
    seconds = pl.col("timestamp").dt.epoch("us") // 1_000_000
    newest = int(events.select(seconds.max()).item())
    match settings.kind:
        case "global_time":
            return _checked(_by_time(events, settings, newest), events)
        case "leave_one_out":
            found = Split(_leave_one_out(events), settings.kind, None, None, newest + 1)
        case "random_80_10_10":
            random = np.random.default_rng(settings.seed)
            found = Split(_random(events, random), settings.kind, None, None, newest + 1)
    return _checked(found, events)


def check_no_leak(trained_until_seconds: float, window: Window, name: str) -> None:
    """Refuses to judge a model by a window that begins before its training data ends.

    Args:
        trained_until_seconds: moment of the newest event that the model was trained on.
        window: to judge by.
        name: of the window in the message.

    Raises:
        UsageFault: the model has seen events of the window.
    """
    if trained_until_seconds >= window.at_seconds:
        raise UsageFault(
            f"leak: the model was trained on events of the {name} window",
            value=f"trained on events up to {_written(trained_until_seconds)}; the window starts "
            f"{_written(window.at_seconds)}",
            where="split", fix="train before the window starts, or move split.end to a later day",
        )  # fmt: skip


def _by_time(events: pl.DataFrame, settings: SplitSettings, newest: int) -> Split:
    end = _end_seconds(settings.end) if settings.end else newest + 1
    micros = pl.col("timestamp").dt.epoch("us")
    times = (events.select(micros).to_series() // 1_000_000).to_numpy()
    test = end - round((settings.test_days or windows.days(times, end)) * DAY_SECONDS)
    validation = settings.validation_days or windows.days(times, test)
    validation = test - round(validation * DAY_SECONDS)
    kept = events.filter(micros < end * 1_000_000)
    part = (
        pl.when(micros >= test * 1_000_000)
        .then(TEST)
        .when(micros >= validation * 1_000_000)
        .then(VALIDATION)
        .otherwise(TRAIN)
    )
    marked = kept.with_columns(part=part.cast(pl.Int8))
    return Split(marked, settings.kind, validation, test, end, events.height - kept.height)


def _leave_one_out(events: pl.DataFrame) -> pl.DataFrame:
    """Each user's last event is test, the one before validation."""
    size = pl.len().over("user_id")
    from_end = size - 1 - pl.int_range(pl.len()).over("user_id")
    part = (
        pl.when(size < FEWEST)
        .then(TRAIN)
        .when(from_end == 0)
        .then(TEST)
        .when(from_end == 1)
        .then(VALIDATION)
        .otherwise(TRAIN)
    )
    return events.with_columns(part=part.cast(pl.Int8))


def _random(events: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """A tenth of each user's events (rounded down, at least 1) is test, as many validation."""
    size = pl.len().over("user_id")
    tenth = pl.max_horizontal(size // 10, pl.lit(1))
    place = pl.col("draw").rank("ordinal").over("user_id") - 1
    part = (
        pl.when(size < FEWEST)
        .then(TRAIN)
        .when(place < tenth)
        .then(TEST)
        .when(place < 2 * tenth)
        .then(VALIDATION)
        .otherwise(TRAIN)
    )
    drawn = events.with_columns(draw=pl.Series(random.random(events.height)))
    return drawn.with_columns(part=part.cast(pl.Int8)).drop("draw")


def _checked(found: Split, events: pl.DataFrame) -> Split:
    """Refuses a split with an empty part."""
    sizes = dict(found.frame["part"].value_counts().iter_rows())
    empty = [name for part, name in enumerate(NAMES) if not sizes.get(part)]
    if not empty:
        return found
    micros = events["timestamp"].dt.epoch("us")
    first, newest = (_written(moment / 1e6) for moment in micros.sort().to_numpy()[[0, -1]])
    where, value = "split.kind", f"no user has {FEWEST} events or more"
    fix = "take global_time, or a log with longer histories"
    if found.validation_seconds is not None and found.test_seconds is not None:
        where = "split.validation_days, split.test_days, split.end"
        value = (
            f"validation from {_written(found.validation_seconds)}, test from "
            f"{_written(found.test_seconds)} to {_written(found.end_seconds)}; "
            f"the log goes from {first} to {newest}"
        )
        fix = "shorten the windows, or move split.end to shortly after the newest event"
    raise UsageFault(
        f"the split leaves nothing for {', '.join(empty)}", value=value, where=where, fix=fix
    )


def _end_seconds(text: str) -> int:
    """Epoch seconds of a day (its start, UTC) or of a moment with an offset.

    Raises:
        ValueError: neither of them.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not an ISO 8601 day or time, such as 2026-03-01T06:00Z") from None
    if moment.tzinfo is None:
        if len(text) > len("2026-03-01"):
            raise ValueError("the time has no offset; write it as 2026-03-01T06:00Z")
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())


def _written(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%MZ")

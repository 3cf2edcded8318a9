"""Cuts interactions into training, validation and test, and says what each may be judged by.

The default is one cut in time, as a shop lives it. Leave-one-out and the random split exist for
comparison with published tables: both let training see the future.
"""

import datetime
import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from recsys.data import histories, windows
from recsys.data.histories import Histories
from recsys.errors import UsageFault
from recsys.settings import Section

DAY_SECONDS = 86_400
Parts = npt.NDArray[np.int8]
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
        "as it takes to hold a hundredth of the log's events and a hundred users with a history, "
        "the latter within a tenth of the events.",
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
        history: events that may be known, of the users who have any.
        relevant: events of the part, of the users who have any; what a list should have held.
        at_seconds: the moment lists are made for, epoch seconds; of leave-one-out and random splits
            the end of the log, as every event has its own moment there.
    """

    history: Histories
    relevant: Histories
    at_seconds: int


@dataclass(frozen=True)
class Split:
    """Events with their part.

    Attributes:
        events: of the log, up to its end.
        parts: `[E]` 0 train, 1 validation, 2 test.
        kind: as in the settings.
        validation_seconds: start of the validation window, epoch seconds; None without one.
        test_seconds: start of the test window; None without one.
        end_seconds: end of the log.
        left_out: events at or after the stated end.
    """

    events: Histories
    parts: Parts
    kind: str
    validation_seconds: int | None
    test_seconds: int | None
    end_seconds: int
    left_out: int = 0

    @functools.cached_property
    def training(self) -> Histories:
        """The events of training, of the users who have any; made once."""
        return self._before(VALIDATION)

    @functools.cached_property
    def before_test(self) -> Histories:
        """The events of training and validation, of the users who have any; made once."""
        return self._before(TEST)

    def _before(self, part: int) -> Histories:
        return histories.active(histories.kept(self.events, self.parts < part))

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
            history=self.training if known == VALIDATION else self.before_test,
            relevant=histories.active(histories.kept(self.events, self.parts == part)),
            at_seconds=self.end_seconds if start is None else start,
        )


def split(events: Histories, settings: SplitSettings) -> Split:
    """Gives every event its part.

    Args:
        events: of the whole log.
        settings: where to cut.

    Raises:
        UsageFault: a part would be empty; it and the dates of the log are named.
    """
    if not len(events.items):
        raise UsageFault("there are no events to split", where="split", fix="ingest a fuller log")
    end = int(events.times.max()) + 1
    match settings.kind:
        case "global_time":
            found = _by_time(events, settings, end)
        case "leave_one_out":
            found = Split(events, _leave_one_out(events), settings.kind, None, None, end)
        case "random_80_10_10":
            random = np.random.default_rng(settings.seed)
            found = Split(events, _random(events, random), settings.kind, None, None, end)
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


def _by_time(events: Histories, settings: SplitSettings, newest_end: int) -> Split:
    end = _end_seconds(settings.end) if settings.end else newest_end
    test = end - round((settings.test_days or windows.days(events, end)) * DAY_SECONDS)
    validation = settings.validation_days or windows.days(events, test)
    validation = test - round(validation * DAY_SECONDS)
    kept = histories.active(histories.before(events, end))
    parts = (kept.times >= validation).astype(np.int8) + (kept.times >= test)
    left_out = len(events.items) - len(kept.items)
    return Split(kept, parts, settings.kind, validation, test, end, left_out)


def _leave_one_out(events: Histories) -> Parts:
    """Each user's last event is test, the one before validation."""
    sizes = np.diff(events.offsets)
    parts = np.full(len(events.items), TRAIN, np.int8)
    ends = events.offsets[1:][sizes >= FEWEST]
    parts[ends - 1], parts[ends - 2] = TEST, VALIDATION
    return parts


def _random(events: Histories, random: np.random.Generator) -> Parts:
    """A tenth of each user's events (rounded down, at least 1) is test, as many validation."""
    sizes = np.diff(events.offsets)
    users = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((random.random(len(users)), users))
    place = np.arange(len(users)) - events.offsets[users]  # of the drawn order, within the user
    tenth = np.maximum(sizes // 10, 1)[users]
    drawn = np.where(place < tenth, TEST, np.where(place < 2 * tenth, VALIDATION, TRAIN))
    drawn[sizes[users] < FEWEST] = TRAIN
    parts = np.empty(len(users), np.int8)
    parts[order] = drawn
    return parts


def _checked(found: Split, events: Histories) -> Split:
    """Refuses a split with an empty part."""
    sizes = np.bincount(found.parts, minlength=len(NAMES))
    empty = [name for part, name in enumerate(NAMES) if not sizes[part]]
    if not empty:
        return found
    first, newest = _written(int(events.times.min())), _written(int(events.times.max()))
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

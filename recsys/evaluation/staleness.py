"""What a list is worth as it gets older: recall on what users did in each span after it was made.

Called by the evaluate pipeline, which makes the lists; here are only spans and counting. An item
counts in the span in which the user first did it: lists made later know that the user has it, and
a list that repeats it would find what nobody needed to be told. So each relevant item counts once.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, field_validator

from recsys.evaluation.evaluate import Judgement
from recsys.evaluation.lists import Floats, Mask, Rows, RowSets, Sequences, row_sets
from recsys.evaluation.metrics import match, recall_at_k
from recsys.settings import Section

HOUR_SECONDS = 3_600


class StalenessSettings(Section):
    """Into which spans the time after the making of a list is cut."""

    edges_hours: tuple[float, ...] = Field(
        (24, 48, 72, 120, 168), min_length=1,
        description="hours after the making at which spans end; the first begins at the making",
    )  # fmt: skip

    @field_validator("edges_hours")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value[0] <= 0 or any(b <= a for a, b in itertools.pairwise(value)):
            raise ValueError("edges must be above 0 and each above the one before")
        return value


@dataclass(frozen=True)
class Span:
    """A time after the making of lists.

    Attributes:
        from_hours, to_hours: its ends, hours after the making.
        start_seconds, stop_seconds: the same moments, epoch seconds; the last is outside.
    """

    from_hours: float
    to_hours: float
    start_seconds: int
    stop_seconds: int

    @property
    def name(self) -> str:
        """As the segment of a metric: `hours_24_48`."""
        return f"hours_{self.from_hours:g}_{self.to_hours:g}"


def spans(made_seconds: int, until_seconds: int, settings: StalenessSettings) -> tuple[Span, ...]:
    """The spans from the making of lists to the end of the log.

    A span that the log does not reach is left out, one that it ends in is cut short.

    Args:
        made_seconds: when the lists were made, epoch seconds.
        until_seconds: end of what is known, epoch seconds.
        settings: where spans end.
    """
    found = []
    for begin, end in zip((0.0, *settings.edges_hours), settings.edges_hours, strict=False):
        start = made_seconds + round(begin * HOUR_SECONDS)
        stop = min(made_seconds + round(end * HOUR_SECONDS), until_seconds)
        if start < stop:
            hours = (stop - made_seconds) / HOUR_SECONDS
            found.append(Span(begin, min(end, round(hours, 2)), start, stop))
    return tuple(found)


def relevant_by_span(done: Sequences, every: Sequence[Span], *, repeats: bool) -> list[RowSets]:
    """What each user did in each span, `[S]` sets of the U users.

    Args:
        done: events of the users from the making of the lists on.
        every: the spans.
        repeats: whether an item counts again in later spans; else only in the span of the first
            time, as lists made later would leave it out.
    """
    users = np.repeat(np.arange(len(done.offsets) - 1, dtype=np.int64), np.diff(done.offsets))
    wanted = np.ones(len(users), np.bool_)
    if not repeats:
        order = np.lexsort((done.times, done.items, users))
        same = np.zeros(len(users), np.bool_)
        ahead, behind = order[:-1], order[1:]
        same[behind] = (users[ahead] == users[behind]) & (done.items[ahead] == done.items[behind])
        wanted = ~same
    return [_inside(done, users, wanted, span) for span in every]


def judged(
    listed: Sequence[Rows], relevant: Sequence[RowSets], every: Sequence[Span], ks: Sequence[int]
) -> Judgement:
    """Recall in each span, named `recall_at_10/hours_24_48`; a user without relevant items has NaN.

    Args:
        listed: `[S]` lists `[U, K]`, those that users had in each span.
        relevant: `[S]` from `relevant_by_span`.
        every: the spans.
        ks: list lengths to judge at.

    Raises:
        InputFault: as by `evaluate.judge`.
    """
    found: dict[str, Floats] = {}
    for span, lists, sets in zip(every, listed, relevant, strict=True):
        matches = match(lists, sets)
        found |= {f"recall_at_{k}/{span.name}": recall_at_k(matches, k) for k in ks}
    return Judgement(found, {})


def _inside(done: Sequences, users: Rows, wanted: Mask, span: Span) -> RowSets:
    inside = wanted & (done.times >= span.start_seconds) & (done.times < span.stop_seconds)
    sizes = np.bincount(users[inside], minlength=len(done.offsets) - 1)
    return row_sets(np.concatenate([[0], np.cumsum(sizes)]), done.items[inside])

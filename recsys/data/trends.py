"""How popular and how old every item was at the beginning of any day.

The training batches ask for the days of their targets, the lists for their one moment: both read
the same numbers. numpy only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.data import pieces, popularity

DAY_SECONDS = 86_400
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trends:
    """Decayed event counts of N items, kept for the days on which an item had events.

    Attributes:
        half_lives_days: `[H]`; an event counts half as much per half-life of its age.
        ends_seconds: second of the day (UTC) at which days end; 0 is midnight.
        keys: `[P]` item * span + day of each item's days with events, ascending; the first is -1,
            no item's.
        counts: float64 `[P, H]` decayed counts at the end of that day.
        first_day, span: days of the keys count from `first_day`; all are below `span`.
        created_days: `[N]` when an item appeared, in days; NaN where unknown.
    """

    half_lives_days: Floats
    ends_seconds: int
    keys: Rows
    counts: Floats
    first_day: int
    span: int
    created_days: Floats

    def days(self, seconds: Rows) -> Rows:
        """The day of each moment: at its beginning, what came before it is known."""
        return (seconds - self.ends_seconds) // DAY_SECONDS

    def at(self, days: Rows, rows: Rows) -> tuple[Singles, Singles]:
        """What was known of items `rows [C]` at the beginning of `days [T]`.

        Returns:
            decayed counts `[T, C, H]`, and ages in days `[T, C]`: NaN where unknown, 0 for what
            appeared during the day, negative for what was not there yet.
        """
        place = (days - self.first_day).clip(0, self.span - 1)
        wanted = rows * self.span + place[:, None]
        found = np.searchsorted(self.keys, wanted) - 1
        there = self.keys[found] // self.span == rows
        gaps = days[:, None] - self.first_day - 1 - self.keys[found] % self.span
        decay = np.exp2(-np.maximum(gaps, 0)[..., None] / self.half_lives_days)
        counts = np.where(there[..., None], self.counts[found] * decay, 0.0)
        ages = days[:, None] - self.created_days[rows]
        return counts.astype(np.float32), np.where(ages > -1, ages.clip(0), ages).astype(np.float32)


def build(
    items: npt.NDArray[np.integer],
    times: Rows,
    created_seconds: Floats,
    half_lives_days: tuple[float, ...],
    ends_seconds: int = 0,
) -> Trends:
    """Trends of all items.

    Args:
        items: `[E]` item rows of all events.
        times: `[E]` epoch seconds.
        created_seconds: `[N]` when items appeared, NaN where unknown; an item with an earlier event
            appeared then.
        half_lives_days: of the decayed counts.
        ends_seconds: second of the day at which days end.
    """
    half_lives = np.asarray(half_lives_days, np.float64)
    first = int((times.min() - ends_seconds) // DAY_SECONDS) if len(times) else 0
    span = int((times.max() - ends_seconds) // DAY_SECONDS - first) + 2 if len(times) else 2
    blocks = list(pieces.of_events(len(times)))

    def keyed(block: slice) -> tuple[Rows, Rows]:
        """The days of a block's events, and their keys."""
        days = (times[block] - ends_seconds) // DAY_SECONDS
        return days, items[block] * np.int64(span) + days - first

    found = [np.unique(keyed(block)[1]) for block in blocks]
    keys = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
    sums = [np.zeros(len(keys)) for _ in half_lives]
    for block in blocks:
        days, wanted = keyed(block)
        which = np.searchsorted(keys, wanted)
        until_end = (days + 1) - (times[block] - ends_seconds) / DAY_SECONDS
        for total, life in zip(sums, half_lives, strict=True):
            np.add.at(total, which, np.exp2(-until_end / life))
    counts: Floats = np.stack(sums, axis=1) if sums else np.zeros((len(keys), 0))
    _accumulate(counts, keys, span, half_lives)
    keys, counts = np.append(-1, keys), np.concatenate([np.zeros((1, len(half_lives))), counts])
    created = created_seconds.copy()
    earliest = popularity.first_seconds(items, times, len(created))
    created = np.where(np.isnan(created), np.nan, np.minimum(created, earliest))
    return Trends(
        half_lives, ends_seconds, keys, counts, first, span, (created - ends_seconds) / DAY_SECONDS
    )


def _accumulate(counts: Floats, keys: Rows, span: int, half_lives: Floats) -> None:
    """Adds to each day of an item what is left of its days before, in place."""
    items, days = keys // span, keys % span
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    lengths = np.diff(starts, append=len(items))
    # the n-th day of all items that have one, together: as many rounds as the busiest item has days
    order = np.argsort(-lengths, kind="stable")
    for step in range(1, int(lengths.max(initial=0))):
        here = starts[order[: int((lengths > step).sum())]] + step
        gaps = (days[here] - days[here - 1])[:, None]
        counts[here] += counts[here - 1] * np.exp2(-gaps / half_lives)

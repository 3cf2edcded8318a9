"""How popular and how old every item was at the beginning of any day.

The training batches ask for the days of their targets, the lists for their one moment: both read
the same numbers. numpy only.

A count of few events is mostly noise. So the longest half-life says how often an item was chosen,
and each shorter one how many times more often than one would expect from the longer ones, both
numbers with `smoothing` events more (a ratio shrunk as under a gamma prior; DuMouchel, 1999,
"Bayesian data mining in large frequency tables"). Where little happened lately, it says 1.

    popularity_L = count_L + smoothing
    popularity_h = (count_h + smoothing) / (expected_h + smoothing)
    expected_h = product of the longer popularities * sum of all counts_h / sum of all counts_L

for the longest half-life L and each shorter one h.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.data import pieces, popularity

DAY_SECONDS = 86_400
TINY = 1e-300  # events; instead of none at all
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trends:
    """Decayed event counts of N items, kept for the days on which an item had events.

    Attributes:
        half_lives_days: `[H]`; an event counts half as much per half-life of its age.
        smoothing: events that every count has more.
        ends_seconds: second of the day (UTC) at which days end; 0 is midnight.
        keys: `[P]` item * span + day of each item's days with events, ascending; the first is -1,
            no item's.
        counts: float64 `[P, H]` decayed counts at the end of that day.
        first_day, span: days of the keys count from `first_day`; all are below `span`.
        totals: float64 `[span, H]` decayed counts of all items at the end of each day.
        created_days: `[N]` when an item appeared, in days; NaN where unknown.
    """

    half_lives_days: Floats
    smoothing: float
    ends_seconds: int
    keys: Rows
    counts: Floats
    first_day: int
    span: int
    totals: Floats
    created_days: Floats

    def days(self, seconds: Rows) -> Rows:
        """The day of each moment: at its beginning, what came before it is known."""
        return (seconds - self.ends_seconds) // DAY_SECONDS

    def at(self, days: Rows, rows: Rows) -> tuple[Singles, Singles]:
        """What was known of items `rows [C]` at the beginning of `days [T]`.

        Returns:
            popularity `[T, C, H]`, above 0, and ages in days `[T, C]`: NaN where unknown, 0 for
            what appeared during the day, negative for what was not there yet.
        """
        ages = days[:, None] - self.created_days[rows]
        popularity = self._smoothed(self.decayed(days, rows), days)
        known = np.where(ages > -1, ages.clip(0), ages)
        return popularity.astype(np.float32), known.astype(np.float32)

    def decayed(self, days: Rows, rows: Rows) -> Floats:
        """`[T, C, H]` decayed counts of items `rows [C]` at the beginning of `days [T]`."""
        place = (days - self.first_day).clip(0, self.span - 1)
        wanted = rows * self.span + place[:, None]
        found = np.searchsorted(self.keys, wanted) - 1
        there = self.keys[found] // self.span == rows
        gaps = days[:, None] - self.first_day - 1 - self.keys[found] % self.span
        decay = np.exp2(-np.maximum(gaps, 0)[..., None] / self.half_lives_days)
        return np.where(there[..., None], self.counts[found] * decay, 0.0)

    def _smoothed(self, counts: Floats, days: Rows) -> Floats:
        """Popularity of `counts [T, C, H]` by the formula above, in place."""
        before = days - self.first_day - 1
        place = before.clip(0, self.span - 1)
        decay = np.exp2(-(before - place).clip(0)[:, None] / self.half_lives_days)
        totals = self.totals[place] * decay * (before >= 0)[:, None]
        counts += self.smoothing
        falling = np.argsort(-self.half_lives_days, kind="stable")
        rate = np.ones(counts.shape[:2])
        for longer, each in itertools.pairwise(falling):
            rate *= counts[..., longer]
            share = totals[:, each] / np.maximum(totals[:, falling[0]], TINY)
            counts[..., each] /= rate * share[:, None] + self.smoothing
        return counts


def build(
    items: npt.NDArray[np.integer],
    times: Rows,
    created_seconds: Floats,
    half_lives_days: tuple[float, ...],
    smoothing: float,
    ends_seconds: int = 0,
) -> Trends:
    """Trends of all items.

    Args:
        items: `[E]` item rows of all events.
        times: `[E]` epoch seconds.
        created_seconds: `[N]` when items appeared, NaN where unknown; an item with an earlier event
            appeared then.
        half_lives_days: of the decayed counts.
        smoothing: events that every count has more, above 0.
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
    totals = _totals(counts, keys, span, half_lives)
    _accumulate(counts, keys, span, half_lives)
    keys, counts = np.append(-1, keys), np.concatenate([np.zeros((1, len(half_lives))), counts])
    created = created_seconds.copy()
    earliest = popularity.first_seconds(items, times, len(created))
    created = np.where(np.isnan(created), np.nan, np.minimum(created, earliest))
    return Trends(
        half_lives, smoothing, ends_seconds, keys, counts, first, span, totals,
        (created - ends_seconds) / DAY_SECONDS,
    )  # fmt: skip


def _totals(counts: Floats, keys: Rows, span: int, half_lives: Floats) -> Floats:
    """`[span, H]` decayed counts of all items at the end of each day, of what each day brought."""
    totals = np.zeros((span, len(half_lives)))
    np.add.at(totals, keys % span, counts)
    decay = np.exp2(-1 / half_lives)
    for day in range(1, span):
        totals[day] += totals[day - 1] * decay
    return totals


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

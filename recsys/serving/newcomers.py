"""What users of whom only attributes are known tend to like: popularity in their segments.

A segment is everybody with the same value in one column of the users' table. An item's term is the
sum over the columns of

    lift = log((events of the item in the segment + strength) / (expected events + strength))

where the expected events are the segment's events times the item's share of all: the posterior mean
of a relative rate under a Gamma prior around 1 (DuMouchel, 1999); the sum is naive Bayes. Columns
that say nothing, values that few share and items that nobody has seen yet bring terms near 0.
Called by `fallback`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from polars import selectors
from pydantic import Field
from scipy import sparse

from recsys.settings import Section
from recsys.vocabulary import Vocabulary

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
TERM = "segment"
BANDS = 10  # of a column of numbers with more distinct values than that


class NewcomerSettings(Section):
    """Lists of users without history."""

    segments: bool = Field(
        True, description="popularity in a newcomer's segments, by the columns of users.*"
    )
    columns: tuple[str, ...] = Field((), description="of users.*; none named: all of them")
    most_values: int = Field(
        256, ge=1, description="values of a column that make a segment, by number of users"
    )
    strength: float = Field(
        100.0, gt=0, description="events of an item in a segment that count as much as the prior"
    )


@dataclass(frozen=True)
class Newcomers:
    """Segments of users, and what is chosen in them.

    Attributes:
        users: all of the table.
        codes: `[U, C]` each user's value in each column, -1 for none that makes a segment.
        events: for each column `[V, N]` events of users with a value.
        strength: as in the settings.
    """

    users: Vocabulary
    codes: Rows
    events: tuple[sparse.csr_matrix, ...]
    strength: float

    def groups(self, user_ids: Sequence[str]) -> tuple[Rows, Rows]:
        """Distinct combinations of values `[G, C]`, and each user's combination `[U]`."""
        rows = self.users.rows(user_ids)
        codes = np.where((rows >= 0)[:, None], self.codes[np.maximum(rows, 0)], -1)
        found, member = np.unique(codes, axis=0, return_inverse=True)
        return found, member.reshape(-1)

    def lift(self, combination: Rows) -> Floats:
        """`[N]` the term of every item for users with these values `[C]`."""
        total = np.zeros(self.events[0].shape[1] if self.events else 0)
        for column, value in enumerate(combination):
            if value >= 0:
                total += self._lift(self.events[column], int(value))
        return total

    def _lift(self, events: sparse.csr_matrix, value: int) -> Floats:
        everybody = np.asarray(events.sum(axis=0), np.float64).reshape(-1)
        inside = np.asarray(events[[value]].toarray(), np.float64).reshape(-1)
        expected = inside.sum() * everybody / max(1.0, everybody.sum())
        lift: Floats = np.log((inside + self.strength) / (expected + self.strength))
        return lift


def fit(
    users: pl.DataFrame, user_ids: pl.Series, items: Rows, n_items: int, settings: NewcomerSettings
) -> Newcomers | None:
    """Counts the log by the segments of its users; None where no column makes any.

    Args:
        users: `user_id` and attributes.
        user_ids: `[E]` who caused each event.
        items: `[E]` rows of the items.
        n_items: N.
        settings: which columns; names that the table lacks are left out.
    """
    usable = selectors.string() | selectors.numeric() | selectors.boolean()
    frame = users.select(usable).drop("user_id", strict=False)
    names = [name for name in settings.columns or frame.columns if name in frame.columns]
    if not settings.segments or not names:
        return None
    codes = np.stack([_codes(frame[name], settings.most_values) for name in names], axis=1)
    known = Vocabulary(users["user_id"])
    owners = known.rows(user_ids)
    return Newcomers(
        known, codes, tuple(_counted(column, owners, items, n_items) for column in codes.T),
        settings.strength,
    )  # fmt: skip


def _codes(values: pl.Series, most: int) -> Rows:
    """`[U]` codes by frequency of a value; numbers of many values fall into bands of equal size."""
    if values.dtype.is_numeric() and values.n_unique() > BANDS:
        ranks = values.rank("min").cast(pl.Float64)
        values = ((ranks - 1) * BANDS / max(1, values.count())).floor()
    counts = values.drop_nulls().value_counts(sort=False).sort(
        pl.col("count"), pl.col(values.name), descending=[True, False]
    )  # fmt: skip
    named = counts.head(most)[values.name].to_list()
    place = {value: code for code, value in enumerate(named)}
    return np.array([place.get(value, -1) for value in values.to_list()], np.int64)


def _counted(codes: Rows, owners: Rows, items: Rows, n_items: int) -> sparse.csr_matrix:
    """`[V, N]` events by value and item."""
    value = np.where(owners >= 0, codes[np.maximum(owners, 0)], -1)
    kept = (value >= 0) & (items >= 0)
    shape = (int(codes.max(initial=-1)) + 1, n_items)
    ones = np.ones(int(kept.sum()), np.float64)
    return sparse.csr_matrix((ones, (value[kept], items[kept])), shape=shape)

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
from pydantic import Field
from scipy import sparse

from recsys.data import people, pieces
from recsys.data.histories import Histories
from recsys.data.people import People
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
TERM = "segment"


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
        people: all of the table, and the values that make segments.
        events: for each column `[V, N]` events of users with a value.
        strength: as in the settings.
    """

    people: People
    events: tuple[sparse.csr_matrix, ...]
    strength: float

    def groups(self, user_ids: Sequence[str]) -> tuple[Rows, Rows]:
        """Distinct combinations of values `[G, C]`, and each user's combination `[U]`."""
        found, member = np.unique(self.people.of(user_ids), axis=0, return_inverse=True)
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
    users: pl.DataFrame, past: Histories, n_items: int, settings: NewcomerSettings
) -> Newcomers | None:
    """Counts the log by the segments of its users; None where no column makes any.

    Args:
        users: `user_id` and attributes.
        past: who had what.
        n_items: N.
        settings: which columns; names that the table lacks are left out.
    """
    columns = people.columns(users, settings.columns, settings.most_values)
    if not settings.segments or not columns:
        return None
    known = people.coded(users, columns)
    rows = known.users.rows(past.user_ids)
    counted = (_counted(column, rows, past, n_items) for column in known.codes.T)
    return Newcomers(known, tuple(counted), settings.strength)


def _counted(codes: Rows, rows: Rows, past: Histories, n_items: int) -> sparse.csr_matrix:
    """`[V, N]` events by value and item; `rows [U]` are those of the users in the table."""
    values = np.where(rows >= 0, codes[rows], -1)
    found = sparse.csr_matrix((int(codes.max(initial=-1)) + 1, n_items), dtype=np.float64)
    for users, events in pieces.of_users(past.offsets):
        value, items = np.repeat(values[users], np.diff(past.offsets)[users]), past.items[events]
        kept = (value >= 0) & (items >= 0)
        ones = np.ones(int(kept.sum()), np.float64)
        found += sparse.csr_matrix((ones, (value[kept], items[kept])), shape=found.shape)
    return found

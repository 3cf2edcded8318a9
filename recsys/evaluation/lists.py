"""The plain values that this room exchanges with the others: sets of item rows and histories."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.errors import InputFault

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Sequences(Protocol):
    """Histories as arrays, oldest event first; `recsys.data.histories.Histories` is one."""

    @property
    def offsets(self) -> Rows:
        """`[U + 1]`: user u owns the events `offsets[u]:offsets[u + 1]`."""

    @property
    def items(self) -> NDArray[np.integer]:
        """`[E]` item rows."""

    @property
    def times(self) -> Rows:
        """`[E]` seconds since the epoch, UTC."""

    @property
    def weights(self) -> Scores:
        """`[E]` event weights."""


@dataclass(frozen=True)
class RowSets:
    """One set of item rows per user: what is relevant, or what was seen.

    Attributes:
        offsets: int64 `[U + 1]`.
        rows: int64 `[E]`, ascending and distinct within a user.
    """

    offsets: Rows
    rows: Rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sizes(self) -> Rows:
        """Items per user, int64 `[U]`."""
        return np.diff(self.offsets)

    def users(self) -> Rows:
        """The position of the user that owns each row, int64 `[E]`."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.sizes())

    def block(self, start: int, stop: int) -> "RowSets":
        """The sets of users `start:stop`."""
        offsets = self.offsets[start : stop + 1]
        return RowSets(offsets - offsets[0], self.rows[offsets[0] : offsets[-1]])

    def of(self, users: Rows) -> "RowSets":
        """The sets of some users, in that order."""
        sizes = self.sizes()[users]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        places = np.repeat(self.offsets[users] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return RowSets(offsets, self.rows[places])

    def restrict(self, items: Mask) -> "RowSets":
        """Only the rows r with `items[r]`; users keep their places, some may become empty."""
        kept = items[self.rows]
        before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
        return RowSets(before[self.offsets], self.rows[kept])

    def among(self, rows: Rows) -> "RowSets":
        """Only what is one of `rows`; as `restrict`."""
        listed = np.zeros(int(max(rows.max(initial=-1), self.rows.max(initial=-1))) + 1, np.bool_)
        listed[rows] = True
        return self.restrict(listed)


def row_sets(offsets: Rows, rows: NDArray[np.integer]) -> RowSets:
    """Sorts the rows of each user and drops repeats.

    Args:
        offsets: `[U + 1]`, ascending from 0 to E.
        rows: `[E]` item rows, none negative.

    Raises:
        InputFault: offsets do not describe `rows`, or a row is negative.
    """
    offsets, items = np.asarray(offsets, np.int64), np.asarray(rows, np.int64)
    if (
        len(offsets) == 0
        or offsets[0] != 0
        or offsets[-1] != len(items)
        or np.any(np.diff(offsets) < 0)
    ):
        raise InputFault(
            "offsets do not describe the rows",
            value=f"{len(offsets)} offsets for {len(items)} rows",
            where="evaluation",
            fix="pass ascending offsets from 0 to the number of rows",
        )
    if len(items) and items.min() < 0:
        raise InputFault(
            "a negative item row",
            value=int(items.min()),
            where=f"position {int(items.argmin())}",
            fix="leave items out that are not in the vocabulary",
        )
    users = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    order = np.lexsort((items, users))
    users, items = users[order], items[order]
    first = np.ones(len(items), dtype=np.bool_)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    sizes = np.bincount(users[first], minlength=len(offsets) - 1)
    return RowSets(np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))), items[first])

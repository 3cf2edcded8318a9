"""Outside ids to inside rows and back. `ids` are the outside world's names, `rows` are ours."""

import hashlib
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


class Vocabulary:
    """An ordered set of ids; an id's position is its row. Immutable.

    Args:
        ids: distinct texts; their order is the row order.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self._rows = {identifier: row for row, identifier in enumerate(self.ids)}
        if len(self._rows) != len(self.ids):
            raise ValueError("ids of a vocabulary must be distinct")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._rows

    def rows(self, ids: Iterable[str]) -> Rows:
        """Rows of `ids`; -1 where an id is unknown."""
        found = map(self._rows.get, ids, itertools.repeat(-1))
        return np.fromiter(found, dtype=np.int64)

    def names(self, rows: Sequence[int] | Rows) -> list[str]:
        """Ids of `rows`.

        Raises:
            IndexError: a row is negative or past the end.
        """
        if len(rows) and int(min(rows)) < 0:
            raise IndexError("a negative row has no id")
        return [self.ids[int(row)] for row in rows]

    @property
    def checksum(self) -> str:
        """A hash of the ids in their order (16 hex digits): equal only for the same row meaning."""
        digest = hashlib.sha256()
        for identifier in self.ids:
            digest.update(identifier.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()[:16]

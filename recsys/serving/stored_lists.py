"""The lists of a release as they lie on disk, read for some users at a time.

All lists of two million users take many gigabytes as a table; what is held here is whose list
begins in which row. Gates, counts, report and audit read their rows by it.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data import histories
from recsys.errors import InputFault
from recsys.serving import release

Rows = npt.NDArray[np.int64]
ROWS = 250_000  # that are read together: as many as a row group has
HEAD = {"user_id": pl.String, "source": pl.String, "row": pl.Int64}
LISTED = {"item_id": pl.String, "source": pl.String, "times": pl.UInt32}
BEGINS = pl.col("user_id").ne_missing(pl.col("user_id").shift())


@dataclass(frozen=True)
class StoredLists:
    """Lists of U users, one after the other in files or frames.

    Attributes:
        parts: the tables whose rows follow each other, ids as texts.
        ends: `[P]` of each part, the rows up to its end.
        users: `[U]` ids, in the order of their lists.
        offsets: int64 `[U + 1]`; user u has the rows `offsets[u]:offsets[u + 1]`.
        model: `[U]` whether a list is the model's; else it is the popular one.
        where: of what is not sound, in messages.
    """

    parts: tuple[pl.LazyFrame, ...]
    ends: tuple[int, ...]
    users: pl.Series
    offsets: Rows
    model: pl.Series
    where: str

    def __len__(self) -> int:
        """U, how many users have a list."""
        return len(self.users)

    @property
    def rows(self) -> int:
        """How many rows all lists have together."""
        return int(self.offsets[-1])

    @property
    def sizes(self) -> Rows:
        """Places of each list, int64 `[U]`."""
        return np.diff(self.offsets)

    @functools.cached_property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.parts[0].collect_schema().names()

    @functools.cached_property
    def of_model(self) -> pl.Series:
        """Ids of the users with a list of the model, in the order of their lists."""
        return self.users.filter(self.model)

    @functools.cached_property
    def listed(self) -> pl.DataFrame:
        """How often each item stands in lists of each source: item_id, source, times."""
        by = ["item_id", "source"]
        parts = [part.group_by(by).len("times") for part in self.each(by)]
        found = pl.concat([pl.DataFrame(schema=LISTED), *parts])
        return found.group_by(by).agg(pl.col("times").sum())

    def places(self, users: pl.Series) -> Rows:
        """Places of users `[n]` among the U; -1 where one has no list."""
        order, known = self._by_id
        found = histories.places(users, known)
        return np.where(found >= 0, order[found], -1) if len(known) else found

    @functools.cached_property
    def _by_id(self) -> tuple[Rows, pl.Series]:
        """Places of the users sorted by their ids, as texts, and these ids."""
        order = self.users.arg_sort()
        return order.cast(pl.Int64).to_numpy(), self.users.gather(order)

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Ranges of users, `start:stop`, that together have about `ROWS` rows each."""
        yield from self._holding(np.arange(len(self)))

    def each(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All lists, those of a stretch at a time, in their order."""
        for start, stop in self.stretches():
            yield self.block(start, stop, columns)

    def at(self, places: Rows, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The lists at places among the U, in the order in which they stand; -1 is nobody's."""
        chosen = np.unique(places[places >= 0])
        found = [self.block(0, 0, columns)]
        for start, stop in self._holding(chosen):
            inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, stop)]
            block = self.block(start, stop, columns)
            if len(inside) < stop - start:
                sizes = self.sizes[inside]
                first = self.offsets[inside] - self.offsets[start]
                moved = first - np.concatenate([[0], np.cumsum(sizes)[:-1]])
                block = block[np.arange(sizes.sum()) + np.repeat(moved, sizes)]
            found.append(block)
        return pl.concat(found)

    def block(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The lists at the places `start:stop`.

        Raises:
            InputFault: the files cannot be read.
        """
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        frames: list[pl.DataFrame] = []
        begin = 0
        for part, end in zip(self.parts, self.ends, strict=True):
            if not frames or (first < end and last > begin):
                length = max(0, min(last, end) - max(first, begin))
                chosen = part.slice(max(first, begin) - begin, length)
                frames.append(release.collected(chosen.select(columns or self.columns), self.where))
            begin = end
        return pl.concat(frames)

    def _holding(self, places: Rows) -> Iterator[tuple[int, int]]:
        """Stretches that hold ascending `places`, without what lies between two of them."""
        at = 0
        while at < len(places):
            start = int(places[at])
            full = int(np.searchsorted(self.offsets, self.offsets[start] + ROWS, side="right")) - 1
            after = int(np.searchsorted(places, max(full, start + 1)))
            yield start, int(places[after - 1]) + 1
            at = after


def opened(folder: Path) -> StoredLists:
    """The lists of a release, staged or published.

    Raises:
        InputFault: the files cannot be read, or the rows of a user do not stand together.
    """
    parts = [release.scanned([path]) for path in release.parts(folder, "lists")]
    return of(parts, str(folder / "lists"))


def of(parts: Sequence[pl.LazyFrame], where: str = "lists") -> StoredLists:
    """Lists whose rows follow each other in one table or more.

    Raises:
        InputFault: as `opened`.
    """
    heads, ends = [pl.DataFrame(schema=HEAD)], [0]
    for part in parts:
        behind, size = ends[-1], release.collected(part.select(pl.len()), where).item()
        for start in range(0, size, ROWS):
            rows = release.collected(part.slice(start, ROWS).select("user_id", "source"), where)
            row = pl.int_range(behind + start, behind + start + len(rows))
            heads.append(rows.with_columns(row=row).filter(BEGINS))
        ends.append(behind + size)
    head = pl.concat(heads).filter(BEGINS)  # a list may go on in the next piece
    if head["user_id"].is_duplicated().any():
        raise InputFault(
            "the rows of a user do not stand together", where=where, fix=release.FIX,
            value=f"{int(head['user_id'].is_duplicated().sum()):,} pieces of lists",
        )  # fmt: skip
    offsets = np.concatenate([head["row"].to_numpy(), ends[-1:]]).astype(np.int64)
    model = head["source"] == release.MODEL
    return StoredLists(tuple(parts), tuple(ends[1:]), head["user_id"], offsets, model, where)

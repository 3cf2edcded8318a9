"""The best items of each user that may be listed: never seen, blocked or unavailable ones.

The index holds only what may be listed; what a user has seen is fetched on top and left out. What a
user gets never depends on who else is asked for: to the last bit, on one machine, so that a night
may keep the lists of those of whom nothing has changed. Called by evaluation and the night.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsys.evaluation.lists import RowSets
from recsys.serving import index as item_index
from recsys.serving.exact import Exact
from recsys.serving.index import Index
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
CELLS = 4_000_000  # rows and scores of one group, about 50 MB
QUERIES = 64  # of one search, always: how a matrix product rounds depends on its shape
FEWEST_SEEN = 8  # what users have seen is fetched in powers of two from here


class CandidateSettings(Section):
    """What reaches the reranker."""

    count: int = Field(300, ge=1, description="candidates per user that the reranker sees")
    repeats: bool = Field(
        False, description="whether items that a user has already had may be listed again"
    )


@dataclass(frozen=True)
class UserTerms:
    """T terms of a score that depend on the user besides the item: names and `[U, N, T]` values."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """`[U, N]` item rows, best first, -1 behind the last, and similarities, -inf there."""

    rows: Rows
    similarities: Vectors
    own: UserTerms | None = None

    def of(self, users: Rows) -> "Candidates":
        """The same of some users."""
        own = self.own and UserTerms(self.own.names, self.own.values[users])
        return Candidates(self.rows[users], self.similarities[users], own)


def find(
    index: Index, queries: Vectors, seen: RowSets | None, exact: Index | None, count: int
) -> Candidates:
    """`count` candidates for each user, or all that are left where that is fewer.

    An approximate index may return too few once the seen ones are taken away; those users are
    asked again of `exact`.

    Args:
        index: over the items that may be listed.
        queries: `[U, D]` user vectors.
        seen: what to leave out per user, None for nothing.
        exact: an exact index over the same items; None where `index` is exact.
        count: candidates per user.
    """
    rows = np.full((len(queries), count), -1, np.int64)
    scores = np.full((len(queries), count), -np.inf, np.float32)
    if seen is not None:
        seen = seen.among(index.rows)  # what is not in the index needs no leaving out
    if exact is None:
        return Candidates(*index.search(queries, count, hidden=seen))
    had = np.zeros(len(queries), np.int64) if seen is None else seen.sizes()
    extra = np.where(had > 0, 2 ** np.ceil(np.log2(np.maximum(had, FEWEST_SEEN))), 0)
    for more in np.unique(extra).astype(np.int64):  # a user's own need, not that of a neighbour
        wanted = min(len(index), int(more) + count)
        users = np.flatnonzero(extra == more)
        for group in np.split(users, range(0, len(users), max(1, CELLS // (wanted + 1)))[1:]):
            some = None if seen is None else seen.of(group)
            rows[group], scores[group] = _fetch(index, queries[group], some, wanted, count)
            left = np.minimum(count, len(exact) - had[group])
            short = group[(rows[group] >= 0).sum(axis=1) < left]
            rows[short], scores[short] = exact.search(
                queries[short], count, hidden=None if seen is None else seen.of(short)
            )
    return Candidates(rows, scores)


def joined(found: Candidates, rows: Rows, similarities: Vectors) -> Candidates:
    """`found` with `[U, M]` other distinct items of each user among them, -1 for none.

    What was found stays as it is, with the similarity that it was found by.
    """
    users, places = np.nonzero(found.rows >= 0)
    gone = (rows < 0) | _among(rows, users, found.rows[users, places])
    every = np.concatenate([found.rows, np.where(gone, -1, rows)], axis=1)
    scores = np.concatenate([found.similarities, np.where(gone, -np.inf, similarities)], axis=1)
    best = np.lexsort((every, -scores), axis=1)
    return Candidates(np.take_along_axis(every, best, 1), np.take_along_axis(scores, best, 1))


def exact_twin(vectors: Vectors, index: Index, aside: Path | None = None) -> Index | None:
    """An exact index over the same items, to fill what an approximate one misses; else None.

    Args:
        vectors: `[n, D]` of the items; those of an index that holds them are not copied.
        index: to fill.
        aside: as in `index.build`.
    """
    if isinstance(index.found_by, Exact):
        return None
    settings = index.settings.model_copy(update={"kind": "exact"})
    table = index.found_by.table
    return item_index.build(vectors, index.rows, index.checksum, settings, aside=aside, table=table)


def _fetch(
    index: Index, queries: Vectors, seen: RowSets | None, wanted: int, count: int
) -> tuple[Rows, Vectors]:
    rows, scores = _search(index, queries, max(wanted, count))
    if seen is not None:
        scores = np.where(_among(rows, seen.users(), seen.rows), -np.inf, scores)
    rows = np.where(np.isfinite(scores), rows, -1)
    order = np.argsort(rows < 0, axis=1, kind="stable")[:, :count]  # the rest closes the gaps
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)


def _search(index: Index, queries: Vectors, k: int) -> tuple[Rows, Vectors]:
    """`index.search` in blocks of `QUERIES`, the last one filled up with queries of its own."""
    rows, scores = np.full((len(queries), k), -1, np.int64), np.zeros((len(queries), k), np.float32)
    for start in range(0, len(queries), QUERIES):
        block = queries[start : start + QUERIES]
        full = np.resize(block, (QUERIES, block.shape[1]))
        found, similar = index.search(full, k)
        rows[start : start + QUERIES] = found[: len(block)]
        scores[start : start + QUERIES] = similar[: len(block)]
    return rows, scores


def _among(rows: Rows, users: Rows, items: Rows) -> npt.NDArray[np.bool_]:
    """`[u, n]`: which of `rows [u, n]` are one of the `items [p]` of their user, of `users [p]`."""
    span = int(max(rows.max(initial=0), items.max(initial=0))) + 1
    owners = np.arange(len(rows), dtype=np.int64)[:, None]
    found: npt.NDArray[np.bool_] = np.isin(owners * span + rows, users * span + items)
    found &= rows >= 0
    return found

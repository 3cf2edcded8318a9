"""The best items of each user that may be listed: never seen, blocked or unavailable ones.

The index holds only what may be listed; what a user has seen is fetched on top and left out. Called
by evaluation and the night.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsys.evaluation.lists import RowSets
from recsys.serving import index as item_index
from recsys.serving.index import Index
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
CELLS = 4_000_000  # rows and scores of one search, about 50 MB


class CandidateSettings(Section):
    """What reaches the reranker."""

    count: int = Field(300, ge=1, description="candidates per user that the reranker sees")
    repeats: bool = Field(
        False, description="whether items that a user has already had may be listed again"
    )


@dataclass(frozen=True)
class Candidates:
    """`[U, N]` item rows, best first, -1 behind the last, and similarities, -inf there."""

    rows: Rows
    similarities: Vectors


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
        seen = seen.restrict(_listed(index, seen))  # what is not in the index needs no leaving out
    had = np.zeros(len(queries), np.int64) if seen is None else seen.sizes()
    order = np.argsort(had, kind="stable")  # users of similar need share a search
    start = 0
    while start < len(order):
        most = 2 * (int(had[order[start]]) + count)
        size = max(1, min(1024, CELLS // most))
        size = min(size, int(np.searchsorted(had[order[start:]] + count, most, side="right")))
        group = order[start : start + size]
        start += len(group)
        wanted = min(len(index), int(had[group].max()) + count)
        rows[group], scores[group] = _fetch(
            index, queries[group], _some(seen, group), wanted, count
        )
        if exact is not None:
            left = np.minimum(count, len(exact) - had[group])
            short = group[(rows[group] >= 0).sum(axis=1) < left]
            if len(short):
                rows[short], scores[short] = _fetch(
                    exact, queries[short], _some(seen, short), wanted, count
                )
    return Candidates(rows, scores)


def exact_twin(vectors: Vectors, index: Index) -> Index | None:
    """An exact index over the same items, to fill what an approximate one misses; else None."""
    if index.settings.kind == "exact":
        return None
    settings = item_index.IndexSettings(kind="exact")
    return item_index.build(vectors, index.rows, index.checksum, settings)


def _fetch(
    index: Index, queries: Vectors, seen: RowSets | None, wanted: int, count: int
) -> tuple[Rows, Vectors]:
    rows, scores = index.search(queries, max(wanted, count))
    if seen is not None:
        scores = np.where(_among(rows, seen), -np.inf, scores)
    rows = np.where(np.isfinite(scores), rows, -1)
    order = np.argsort(rows < 0, axis=1, kind="stable")[:, :count]  # the rest closes the gaps
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)


def _listed(index: Index, seen: RowSets) -> npt.NDArray[np.bool_]:
    """By item row: whether the index holds it."""
    highest = max(index.rows.max(initial=-1), seen.rows.max(initial=-1))
    listed = np.zeros(int(highest) + 1, np.bool_)
    listed[index.rows] = True
    return listed


def _among(rows: Rows, seen: RowSets) -> npt.NDArray[np.bool_]:
    """`[u, n]`: which of `rows [u, n]` are in the user's set."""
    span = int(max(rows.max(initial=0), seen.rows.max(initial=0))) + 1
    owners = np.arange(len(rows), dtype=np.int64)[:, None]
    found: npt.NDArray[np.bool_] = np.isin(
        owners * span + rows, seen.users() * span + seen.rows
    ) & (rows >= 0)
    return found


def _some(seen: RowSets | None, users: Rows) -> RowSets | None:
    """The sets of some users, in that order."""
    if seen is None:
        return None
    sizes = seen.sizes()[users]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    places = np.repeat(seen.offsets[users] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return RowSets(offsets, seen.rows[places])

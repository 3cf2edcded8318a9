"""An index that is chosen by what it finds: the cheapest one that reaches a wanted recall.

Every kind is built over the night's items and asked with vectors of real users; what it finds is
compared with exact search. Costs are counted, not timed: the same inputs choose the same index, on
a busy machine too. Called when `lists.index.kind` is auto.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsys.errors import ResourceFault
from recsys.serving import index as item_index
from recsys.serving.exact import Exact
from recsys.serving.index import Index, Rows, Vectors
from recsys.serving.index_costs import cost, size
from recsys.serving.index_settings import IndexSettings

SMALL = 10_000  # below so many items nothing beats exact search
CERTAIN = 1.64  # standard errors: the recall of all users is above the target in 95 of 100 cases
LISTS = (2, 4, 8)  # times the root of the items
# items from which only some are built: of a million, all of them take a quarter of an hour by the
# products of k-means and HNSW's links, and almost three times as long with each doubling
MANY = 1_000_000
STRETCH = 1 << 20  # items whose exact scores are made at a time


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what it finds.

    Attributes:
        index: built and set.
        recall: share of the exact k best items that it finds, mean over the queries.
        reached: whether that is the target, with the uncertainty of the sample taken off.
        cost: microseconds a query, as counted.
    """

    index: Index
    recall: float
    reached: bool
    cost: float

    def better(self, other: "Choice | None") -> bool:
        """Whether to take this one: the target first, then the cost; without it, the recall."""
        if other is None or self.reached != other.reached:
            return other is None or self.reached
        return self.cost < other.cost if self.reached else self.recall > other.recall


def tuned(
    vectors: Vectors,
    rows: Rows,
    checksum: str,
    settings: IndexSettings,
    queries: Vectors,
    k: int,
    aside: Path | None = None,
) -> Choice:
    """The cheapest index that finds `settings.recall` of the exact k best items of the queries.

    Args:
        vectors: `[n, D]` item vectors.
        rows: `[n]` their catalogue rows, ascending.
        checksum: of the catalogue's vocabulary.
        settings: the target, and the memory that the index may take; without one that fits, the
            one that finds most is taken.
        queries: `[q, D]` vectors of users, a few hundred of those who will ask.
        k: how many items a search has to find.
        aside: as in `index.build`.

    Raises:
        InputFault: a vector is not finite or zero.
        ResourceFault: no index fits into the memory.
    """
    shape, most = vectors.shape, settings.memory_mb * 1e6 or math.inf
    plain = settings.model_copy(update={"kind": "exact"})
    if len(rows) < SMALL or not len(queries):
        whole = item_index.build(vectors, rows, checksum, plain, aside=aside)
        return Choice(whole, 1.0, True, cost(plain, shape, k))
    truth = rows[nearest(vectors, queries, k)]
    dearest = cost(plain, shape, k) if size(plain, shape) <= most else math.inf  # exact search
    best: Choice | None = None
    built: Index | None = None
    table: Exact | None = None
    for levels in _families(settings, shape, k):
        bound = best.cost if best is not None and best.reached else math.inf
        too_dear = cost(levels[0], shape, k) >= min(bound, dearest)
        if too_dear or size(levels[0], shape) > most:
            continue
        if built is None or _structure(built.settings) != _structure(levels[0]):
            built = None  # one at a time besides the best
            built = item_index.build(vectors, rows, checksum, levels[0], aside=aside, table=table)
            table = _table(built) or table
        found = _least_effort(built, levels, truth, queries, k)
        best = found if found.better(best) else best
    if best is not None and best.reached and best.cost < dearest:
        return best
    if math.isfinite(dearest):
        whole = item_index.build(vectors, rows, checksum, plain, aside=aside, table=table)
        return Choice(whole, 1.0, True, dearest)
    if best is None:
        raise ResourceFault(
            "no index fits into the memory that it may take", value=f"{settings.memory_mb} MB",
            where="lists.index.memory_mb",
            fix=f"{shape[0] * shape[1] / 1e6:.0f} MB hold 8-bit codes",
        )  # fmt: skip
    return best


def nearest(vectors: Vectors, queries: Vectors, k: int) -> Rows:
    """`[q, k]` positions of the best by exact search, best first; a stretch of items at a time."""
    scores: Vectors = np.zeros((len(queries), 0), np.float32)
    places: Rows = np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(vectors), STRETCH):
        stretch = vectors[start : start + STRETCH]
        some, at = Exact(stretch).search(queries, min(k, len(stretch)), None, None)
        scores = np.concatenate([scores, some], axis=1)
        places = np.concatenate([places, at + start], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(scores, order, 1)
        places = np.take_along_axis(places, order, 1)
    return places


def _table(built: Index) -> Exact | None:
    """The vectors that an index holds in the order of its items."""
    return built.found_by if isinstance(built.found_by, Exact) else built.found_by.table


def _structure(settings: IndexSettings) -> tuple[str, int]:
    """What an index is built by; the rest says how it is searched."""
    return settings.kind, settings.lists


def _least_effort(
    built: Index, levels: list[IndexSettings], truth: Rows, queries: Vectors, k: int
) -> Choice:
    """The first of the levels of effort that reaches the target; the last where none does."""

    def at(level: IndexSettings) -> Choice:
        shares = recall(replace(built, settings=level), truth, queries, k)
        doubt = CERTAIN * float(shares.std()) / math.sqrt(len(shares))
        reached = float(shares.mean()) - doubt >= level.recall
        spent = cost(level, (len(built), built.width), k)
        return Choice(replace(built, settings=level), float(shares.mean()), reached, spent)

    best = at(levels[-1])
    if not best.reached:
        return best
    low, high = 0, len(levels) - 1  # recall rises with the effort
    while low < high:
        middle = (low + high) // 2
        tried = at(levels[middle])
        if tried.reached:
            best, high = tried, middle
        else:
            low = middle + 1
    return best


def _families(
    settings: IndexSettings, shape: tuple[int, ...], k: int
) -> Iterator[list[IndexSettings]]:
    """Settings of each kind by rising effort; each family is one built index.

    Of many items only what can be built in minutes: no HNSW, one number of lists.
    """
    count = shape[0]

    def levels(kind: str, **changes: list[float]) -> list[IndexSettings]:
        (name, values), *rest = changes.items()
        fixed = {key: value[0] for key, value in rest} | {"kind": kind}
        return [settings.model_copy(update=fixed | {name: value}) for value in values]

    many = count > MANY
    for factor in LISTS[1:2] if many else LISTS:
        lists = min(int(factor * count**0.5), count // 39)
        probes: list[float] = [
            *sorted({round(1.2**step) for step in range(50)} & set(range(lists)))
        ]
        yield levels("ivf", probes=probes, lists=[lists])
        for refine in (2.0, 4.0, 8.0):
            yield levels("ivf_pq", probes=probes, lists=[lists], refine=[refine])
    yield levels("pq", refine=[1.2**step for step in range(1, 20)])
    yield levels("sq8", refine=[settings.refine])
    if many:
        return
    efforts: list[float] = [round(k * 1.15**step) for step in range(20)]
    yield levels("hnsw", search_effort=efforts)


def measured(
    vectors: Vectors,
    rows: Rows,
    checksum: str,
    settings: IndexSettings,
    queries: Vectors,
    k: int,
    aside: Path | None = None,
) -> Choice:
    """The index of the settings, tuned where they say auto, and what it finds of the exact k best.

    Arguments and faults are those of `tuned`.
    """
    if settings.kind == "auto":
        return tuned(vectors, rows, checksum, settings, queries, k, aside)
    built = item_index.build(vectors, rows, checksum, settings, aside=aside)
    spent = cost(built.settings, vectors.shape, k)
    if built.settings.kind == "exact" or not len(queries):
        return Choice(built, 1.0, True, spent)
    truth = rows[nearest(vectors, queries, k)]
    found = float(recall(built, truth, queries, k).mean())
    return Choice(built, found, found >= settings.recall, spent)


def recall(built: Index, truth: Rows, queries: Vectors, k: int) -> npt.NDArray[np.float64]:
    """`[q]` share of the exact k best items that an index finds."""
    found = built.search(queries, k)[0]
    span = int(max(found.max(initial=0), truth.max(initial=0))) + 1
    owners = np.arange(len(truth))[:, None] * span
    hits = np.isin(owners + truth, (owners + found)[found >= 0]) & (truth >= 0)
    share: npt.NDArray[np.float64] = hits.sum(axis=1) / np.maximum((truth >= 0).sum(axis=1), 1)
    return share

"""An index that is chosen by what it finds: the cheapest one that reaches a wanted recall.

Every kind is built over the night's items and asked with vectors of real users; what it finds is
compared with exact search. Costs are counted, not timed: the same inputs choose the same index, on
a busy machine too. Called when `lists.index.kind` is auto.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys.errors import ResourceFault
from recsys.serving import index as item_index
from recsys.serving.index import Index, IndexSettings, Rows, Vectors

SMALL = 10_000  # below so many items nothing beats exact search
CERTAIN = 1.64  # standard errors: the recall of all users is above the target in 95 of 100 cases
LISTS = (2, 4, 8)  # times the root of the items
# microseconds on one core with AVX-512 (benchmarks/index_tuning.py); only their ratios matter, and
# what every kind takes for a place of the list is left out (0.2)
EXACT = 3e-5  # a number of a vector, multiplied in blocks, and the best picked
SCORE = 6e-5  # a number of a centre
PICK = 1e-5  # an item, for each place of the list, where faiss picks it by 8-bit codes
CODE8 = 8e-5  # a number as an 8-bit code
CODE4 = 1.4e-5  # a number as part of a 4-bit code
VISIT = 9e-5  # a number of a vector in an inverted list
PROBE, PROBE_PLACE = 0.2, 0.003  # a list, and its part for each place
RESCORE = 0.1  # an item that is scored again
STEP = 1.0  # an item that HNSW looks at


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
    vectors: Vectors, rows: Rows, checksum: str, settings: IndexSettings, queries: Vectors, k: int
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

    Raises:
        InputFault: a vector is not finite or zero.
        ResourceFault: no index fits into the memory.
    """
    shape, most = vectors.shape, settings.memory_mb * 1e6 or math.inf
    plain = settings.model_copy(update={"kind": "exact"})
    exact = item_index.build(vectors, rows, checksum, plain)
    whole = Choice(exact, 1.0, True, cost(plain, shape, k))
    if len(rows) < SMALL or not len(queries):
        return whole
    best = whole if size(plain, shape) <= most else None
    truth = exact.search(queries, k)[0]
    built = exact
    for levels in _families(settings, shape, k):
        least = cost(levels[0], shape, k)
        too_dear = best is not None and best.reached and least >= best.cost
        if too_dear or size(levels[0], shape) > most:
            continue
        if _structure(built.settings) != _structure(levels[0]):
            built = item_index.build(vectors, rows, checksum, levels[0])
        found = _least_effort(built, levels, truth, queries, k)
        best = found if found.better(best) else best
    if best is None:
        raise ResourceFault(
            "no index fits into the memory that it may take", value=f"{settings.memory_mb} MB",
            where="lists.index.memory_mb",
            fix=f"{shape[0] * shape[1] / 1e6:.0f} MB hold 8-bit codes",
        )  # fmt: skip
    return best


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
    """Settings of each kind by rising effort; each family is one built index."""
    count = shape[0]

    def levels(kind: str, **changes: list[float]) -> list[IndexSettings]:
        (name, values), *rest = changes.items()
        fixed = {key: value[0] for key, value in rest} | {"kind": kind}
        return [settings.model_copy(update=fixed | {name: value}) for value in values]

    for factor in LISTS:
        lists = min(int(factor * count**0.5), count // 39)
        probes: list[float] = [
            *sorted({round(1.2**step) for step in range(50)} & set(range(lists)))
        ]
        yield levels("ivf", probes=probes, lists=[lists])
        for refine in (2.0, 4.0, 8.0):
            yield levels("ivf_pq", probes=probes, lists=[lists], refine=[refine])
    yield levels("pq", refine=[1.2**step for step in range(1, 20)])
    yield levels("sq8", refine=[settings.refine])
    efforts: list[float] = [round(k * 1.15**step) for step in range(20)]
    yield levels("hnsw", search_effort=efforts)


def size(settings: IndexSettings, shape: tuple[int, ...]) -> float:
    """Bytes that an index over `[n, D]` vectors takes."""
    count, width = shape
    match settings.kind:
        case "sq8":
            each = width
        case "pq" | "ivf_pq":
            each = 4 * width + width // 4 + 8
        case "ivf":
            each = 4 * width + 8
        case "hnsw":
            each = 4 * width + 8 * settings.neighbours
        case _:
            each = 4 * width
    return float(count * each)


def cost(settings: IndexSettings, shape: tuple[int, ...], k: int) -> float:
    """Microseconds a query on one core, counted from what it looks at."""
    count, width = shape
    lists = settings.lists or int(4 * count**0.5)
    looked = count * min(1.0, settings.probes / max(1, lists))
    visits = lists * width * SCORE + settings.probes * (PROBE + PROBE_PLACE * k)
    match settings.kind:
        case "sq8":
            return count * (width * CODE8 + PICK * k)
        case "pq":
            return count * width * CODE4 + settings.refine * k * RESCORE
        case "ivf":
            return visits + looked * width * VISIT
        case "ivf_pq":
            return visits + looked * width * CODE4 + settings.refine * k * RESCORE
        case "hnsw":
            return STEP * max(settings.search_effort, k)
        case _:
            return count * width * EXACT


def measured(
    vectors: Vectors, rows: Rows, checksum: str, settings: IndexSettings, queries: Vectors, k: int
) -> Choice:
    """The index of the settings, tuned where they say auto, and what it finds of the exact k best.

    Arguments and faults are those of `tuned`.
    """
    if settings.kind == "auto":
        return tuned(vectors, rows, checksum, settings, queries, k)
    built = item_index.build(vectors, rows, checksum, settings)
    spent = cost(built.settings, vectors.shape, k)
    if built.settings.kind == "exact" or not len(queries):
        return Choice(built, 1.0, True, spent)
    plain = settings.model_copy(update={"kind": "exact"})
    truth = item_index.build(vectors, rows, checksum, plain).search(queries, k)[0]
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

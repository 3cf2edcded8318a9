"""Judges lists per user, then puts several systems into one table with intervals.

Called by the evaluate and nightly pipelines: `judge` once per system, then `compare`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recsys.errors import InputFault, UsageFault
from recsys.evaluation import list_metrics
from recsys.evaluation.lists import Floats, Mask, Rows, RowSets
from recsys.evaluation.metrics import accuracy, match, recall_at_k
from recsys.evaluation.significance import Interval, resampled_means, summary
from recsys.evaluation.table import Cell, EvaluationTable

CELLS_PER_GROUP = 16_000_000


@dataclass(frozen=True)
class Segments:
    """Named parts that recall is also reported for.

    Attributes:
        users: bool `[U]` each; averages over these users.
        items: bool `[N]` each; only relevant items inside count.
    """

    users: dict[str, Mask] = field(default_factory=dict)
    items: dict[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Shop:
    """What is known of the items that list metrics need.

    Attributes:
        counts: training events, float64 `[N]`.
        eligible: bool `[N]`, what could be listed; None for all.
        vectors: float32 `[N, D]` for diversity, or None to leave it out.
    """

    counts: Floats
    eligible: Mask | None = None
    vectors: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Judgement:
    """One system's numbers.

    Attributes:
        per_user: float64 `[U]` by metric; NaN where a user has no value.
        overall: metrics of all lists together, which have no interval.
    """

    per_user: dict[str, Floats]
    overall: dict[str, float]


def judge(
    ranked: Rows,
    relevant: RowSets,
    ks: Sequence[int],
    segments: Segments,
    shop: Shop,
    shelves: Mapping[str, Rows] = MappingProxyType({}),
) -> Judgement:
    """Everything that is reported of one system's lists.

    Names are `recall_at_10`, `recall_at_10/SEGMENT` for segments, and `recall_at_10/SEGMENT_shelf`
    for lists that hold nothing but a segment's items.

    Args:
        ranked: int64 `[U, K]`, -1 where there is no item.
        relevant: what each user wanted in the window.
        ks: list lengths to judge at, none above K.
        segments: parts of users and items.
        shop: facts about the items.
        shelves: by segment of items, lists `[U, K]` of only its items.

    Raises:
        InputFault: lists too short, an item twice in a list, users that do not fit.
    """
    matches = match(ranked, relevant)
    per_user = accuracy(matches, ks)
    for name, inside in segments.users.items():
        for k in ks:
            recall = per_user[f"recall_at_{k}"]
            per_user[f"recall_at_{k}/{name}"] = np.where(inside, recall, np.nan)
    for name, inside in segments.items.items():
        restricted = match(ranked, relevant.restrict(inside))
        for k in ks:
            per_user[f"recall_at_{k}/{name}"] = recall_at_k(restricted, k)
    for name, shelf in shelves.items():
        restricted = match(shelf, relevant.restrict(segments.items[name]))
        per_user |= {f"recall_at_{k}/{name}_shelf": recall_at_k(restricted, k) for k in ks}
    overall: dict[str, float] = {}
    for k in ks:
        per_user |= _list_qualities(ranked, shop, k)
        n_items = len(shop.counts)
        overall[f"coverage_at_{k}"] = list_metrics.coverage_at_k(ranked, n_items, k, shop.eligible)
        overall[f"gini_at_{k}"] = list_metrics.gini_at_k(ranked, n_items, k, shop.eligible)
    return Judgement(per_user, overall)


def compare(
    judgements: Mapping[str, Judgement],
    against: str,
    generator: np.random.Generator,
    draws: int = 1_000,
    level: float = 0.95,
) -> EvaluationTable:
    """One table of all systems: intervals, and differences to `against` paired by user.

    All systems, and the differences, share the same resampled users.

    Args:
        judgements: by system, all of the same users in the same order, with the same metrics.
        against: the system that the others are compared with.
        generator: for the bootstrap.
        draws: bootstrap samples.
        level: of the intervals.

    Raises:
        UsageFault: `against` is not among the systems.
        InputFault: systems were judged on different metrics or numbers of users.
    """
    _refuse_unlike(judgements, against)
    names = tuple(judgements[against].per_user)
    users = len(judgements[against].per_user[names[0]])
    seed = int(generator.integers(2**63))
    step = max(1, CELLS_PER_GROUP // (2 * len(judgements) * max(1, users)))
    cells: dict[tuple[str, str], Cell] = {}
    for start in range(0, len(names), step):
        group = names[start : start + step]
        cells |= _cells(judgements, against, group, (seed, draws, level))
    for system, judgement in judgements.items():
        for metric, value in judgement.overall.items():
            cells[system, metric] = Cell(Interval(value, np.nan, np.nan, users), None)
    metrics = (*names, *judgements[against].overall)
    return EvaluationTable(tuple(judgements), metrics, against, users, level, cells)


def _cells(
    judgements: Mapping[str, Judgement],
    against: str,
    metrics: Sequence[str],
    bootstrap: tuple[int, int, float],
) -> dict[tuple[str, str], Cell]:
    """The cells of some metrics; the same seed resamples the same users for every group."""
    seed, draws, level = bootstrap
    reference = [judgements[against].per_user[m] for m in metrics]
    keys = [(s, m) for s in judgements for m in metrics]
    values = np.stack([judgements[s].per_user[m] for s, m in keys], axis=1)
    differences = values - np.stack(reference * len(judgements), axis=1)
    both = np.concatenate((values, differences), axis=1)
    means = resampled_means(both, np.random.default_rng(seed), draws)
    summaries = [summary(both[:, c], means[:, c], level) for c in range(both.shape[1])]
    return {
        key: Cell(value, None if key[0] == against else difference)
        for key, value, difference in zip(
            keys, summaries[: len(keys)], summaries[len(keys) :], strict=True
        )
    }


def _list_qualities(ranked: Rows, shop: Shop, k: int) -> dict[str, Floats]:
    qualities = {
        f"novelty_at_{k}": list_metrics.novelty_at_k(ranked, shop.counts, k),
        f"popularity_share_at_{k}": list_metrics.popularity_share_at_k(ranked, shop.counts, k),
    }
    if shop.vectors is not None:
        qualities[f"diversity_at_{k}"] = list_metrics.diversity_at_k(ranked, shop.vectors, k)
    return qualities


def _refuse_unlike(judgements: Mapping[str, Judgement], against: str) -> None:
    if against not in judgements:
        raise UsageFault(
            "there is no such system to compare with",
            value=against,
            where="evaluate.against",
            fix=f"choose one of {', '.join(judgements)}",
        )
    reference = judgements[against]
    shape = {name: len(values) for name, values in reference.per_user.items()}
    for system, judgement in judgements.items():
        found = {name: len(values) for name, values in judgement.per_user.items()}
        if found != shape or judgement.overall.keys() != reference.overall.keys():
            raise InputFault(
                "systems were judged on different metrics or users",
                value=system,
                where="evaluation.compare",
                fix=f"judge it with the settings and users of {against}",
            )

"""What lists are like beside being right: novelty, diversity, coverage, concentration.

Used by `evaluate`. The first three give one number a user, so that they get intervals as well.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.evaluation.lists import Floats, Mask, Rows
from recsys.evaluation.metrics import refuse_short_lists

USERS_PER_BLOCK = 4_096


def novelty_at_k(ranked: Rows, counts: Floats, k: int) -> Floats:
    """Mean self-information -log2 p of the listed items, bits, float64 `[U]`.

    p = (training events of the item + 1) / (all training events + N): the add-one keeps an item
    without events finite. After Vargas and Castells (2011). NaN for an empty list.

    Args:
        ranked: int64 `[U, K]`.
        counts: training events per item, float64 `[N]`.
        k: places looked at.
    """
    probability = (counts + 1) / (counts.sum() + len(counts))
    return _mean_over_list(ranked, -np.log2(probability), k)


def popularity_share_at_k(ranked: Rows, counts: Floats, k: int, head: float = 0.01) -> Floats:
    """Share of each list that comes from the `head` most popular items, float64 `[U]`.

    The head has at least one item; ties go to the lower row.
    """
    size = max(1, round(head * len(counts)))
    in_head = np.zeros(len(counts))
    in_head[np.argsort(-counts, kind="stable")[:size]] = 1
    return _mean_over_list(ranked, in_head, k)


def diversity_at_k(ranked: Rows, vectors: NDArray[np.float32], k: int) -> Floats:
    """1 - mean cosine over the pairs of a list, float64 `[U]`, 0 where all items point one way.

    Items with a zero vector (nothing known of them) are left out; NaN with fewer than two others.

    Args:
        ranked: int64 `[U, K]`.
        vectors: `[N, D]`, of any length.
        k: places looked at.
    """
    listed = _first(ranked, k)
    length = np.linalg.norm(vectors, axis=1)
    result = np.full(len(listed), np.nan)
    for start in range(0, len(listed), USERS_PER_BLOCK):
        rows = listed[start : start + USERS_PER_BLOCK]
        usable = (rows >= 0) & (length[rows] > 0)
        scale = np.where(usable, 1 / np.where(usable, length[rows], 1), 0)
        # |sum of unit vectors|^2 = n + 2 * (sum over pairs): no K x K matrix is needed.
        total = np.einsum("uk,ukd->ud", scale, vectors[rows], optimize=False)
        n = usable.sum(axis=1)
        pairs = np.where(n > 1, n * (n - 1), np.nan)
        result[start : start + len(rows)] = 1 - ((total**2).sum(axis=1) - n) / pairs
    return result


def coverage_at_k(ranked: Rows, n_items: int, k: int, eligible: Mask | None = None) -> float:
    """Distinct items in the first k of all lists / items that could be listed, 0..1."""
    offered = _impressions(ranked, n_items, k) > 0
    possible = np.ones(n_items, dtype=np.bool_) if eligible is None else eligible
    return float(offered.sum() / max(1, possible.sum()))


def gini_at_k(ranked: Rows, n_items: int, k: int, eligible: Mask | None = None) -> float:
    """Gini index of impressions over items: 0 all equal, near 1 one item takes them all.

    Items outside `eligible` that no list names are left out.
    """
    impressions = _impressions(ranked, n_items, k)
    if eligible is not None:
        impressions = impressions[eligible | (impressions > 0)]
    if impressions.sum() == 0:
        return float("nan")
    ordered, n = np.sort(impressions), len(impressions)
    ranks = 2 * np.arange(1, n + 1) - n - 1
    return float((ranks * ordered).sum() / (n * ordered.sum()))


def _first(ranked: Rows, k: int) -> Rows:
    refuse_short_lists(ranked.shape[1], k)
    return ranked[:, :k]


def _impressions(ranked: Rows, n_items: int, k: int) -> Rows:
    listed = _first(ranked, k)
    return np.bincount(listed[listed >= 0], minlength=n_items)


def _mean_over_list(ranked: Rows, values: Floats, k: int) -> Floats:
    listed = _first(ranked, k)
    present = listed >= 0
    total = np.where(present, values[listed], 0.0).sum(axis=1)
    n = present.sum(axis=1)
    result = np.full(len(listed), np.nan)
    np.divide(total, n, out=result, where=n > 0)
    return result

"""From scores to lists: the k best allowed items, equal scores in row order. Used by baselines."""

import numpy as np

from recsys.errors import InputFault
from recsys.evaluation.lists import Mask, Rows, RowSets, Scores


def rank(scores: Scores, seen: RowSets | None, eligible: Mask | None, k: int) -> Rows:
    """The k best items of each user without the seen and the not eligible ones.

    Of equal scores the lower row comes first, also where they straddle the end of the list. A score
    of -inf is never listed. Costs one partition per user, no full sort.

    Args:
        scores: float32 `[B, N]`; overwritten where an item is excluded.
        seen: what to leave out, one set per row of `scores`, or None.
        eligible: bool `[N]`, or None for all items.
        k: places per list.

    Returns:
        int64 `[B, k]`, -1 after the last item.

    Raises:
        InputFault: a score is NaN, or shapes do not fit.
    """
    users, n_items = scores.shape
    _refuse_misfits(scores, seen, eligible)
    if eligible is not None:
        scores[:, ~eligible] = -np.inf
    if seen is not None:
        scores[seen.users(), seen.rows] = -np.inf
    width = min(k, n_items)
    ranked = np.full((users, k), -1, dtype=np.int64)
    if width == 0 or users == 0:
        return ranked
    chosen = np.nonzero(_kept(scores, width))[1].reshape(users, width)
    values = np.take_along_axis(scores, chosen, axis=1)
    # `chosen` ascends, so a stable sort leaves equal scores in row order.
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(chosen, order, axis=1)
    listed = np.take_along_axis(values, order, axis=1) > -np.inf
    ranked[:, :width] = np.where(listed, best, -1)
    return ranked


def _kept(scores: Scores, width: int) -> Mask:
    """Exactly `width` True per row: all above the cut, then the lowest rows of those at it."""
    at = scores.shape[1] - width
    cut = np.partition(scores, at, axis=1)[:, at : at + 1]
    kept: Mask = scores >= cut
    crowded = np.flatnonzero(kept.sum(axis=1) > width)
    above = scores[crowded] > cut[crowded]
    ties = kept[crowded] & ~above
    room = width - above.sum(axis=1, keepdims=True)
    kept[crowded] = above | (ties & (np.cumsum(ties, axis=1) <= room))
    return kept


def _refuse_misfits(scores: Scores, seen: RowSets | None, eligible: Mask | None) -> None:
    if seen is not None and len(seen) != len(scores):
        raise InputFault(
            "scores and seen items are not of the same users",
            value=f"{len(scores)} and {len(seen)}",
            where="evaluation.rank",
            fix="pass one set of seen items per row of scores",
        )
    if eligible is not None and len(eligible) != scores.shape[1]:
        raise InputFault(
            "scores and the eligible mask are not of the same items",
            value=f"{scores.shape[1]} and {len(eligible)}",
            where="evaluation.rank",
            fix="pass one flag per column of scores",
        )
    if np.isnan(scores).any():
        user, item = np.argwhere(np.isnan(scores))[0]
        raise InputFault(
            "a score is not a number",
            value="nan",
            where=f"user {int(user)} of the block, item row {int(item)}",
            fix="mend the system that made the scores",
        )

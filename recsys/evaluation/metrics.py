"""Accuracy of ranked lists, one number a user: recall, hit rate, nDCG, MRR, MAP. Full ranking only.

`match` compares lists with what was relevant once; every metric is then a formula over `Matches`.
A user without relevant items has NaN everywhere: such users are left out of averages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.errors import InputFault
from recsys.evaluation.lists import Floats, Mask, Rows, RowSets

USERS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class Matches:
    """Which places of each list hold a relevant item.

    Attributes:
        hits: bool `[U, K]`.
        totals: int64 `[U]`, how many items are relevant to the user, in the list or not.
    """

    hits: Mask
    totals: Rows


def match(ranked: Rows, relevant: RowSets) -> Matches:
    """Looks every listed item up in the user's relevant items.

    Args:
        ranked: int64 `[U, K]`, best first, -1 where there is no item.
        relevant: one set a user, in the same order.

    Raises:
        InputFault: the numbers of users differ, or a list names an item twice (its nDCG could
            exceed 1).
    """
    if ranked.ndim != 2 or len(ranked) != len(relevant):
        raise InputFault(
            "lists and relevant items are not of the same users",
            value=f"lists {ranked.shape}, {len(relevant)} users with relevant items",
            where="evaluation.match",
            fix="select the same users, in the same order, on both sides",
        )
    hits = np.zeros(ranked.shape, dtype=np.bool_)
    for start in range(0, len(ranked), USERS_PER_BLOCK):
        stop = min(start + USERS_PER_BLOCK, len(ranked))
        _refuse_repeats(ranked[start:stop], start)
        hits[start:stop] = _found(ranked[start:stop], relevant.block(start, stop))
    return Matches(hits, relevant.sizes())


def recall_at_k(matches: Matches, k: int) -> Floats:
    """Hits among the first k / relevant items, float64 `[U]` in 0..1."""
    return _ratio(_hits(matches, k).sum(axis=1), matches.totals)


def hit_rate_at_k(matches: Matches, k: int) -> Floats:
    """1 if any of the first k is relevant, else 0, float64 `[U]`."""
    return _known(np.any(_hits(matches, k), axis=1).astype(np.float64), matches.totals)


def ndcg_at_k(matches: Matches, k: int) -> Floats:
    """Binary nDCG (Järvelin and Kekäläinen, 2002), ideal over min(k, relevant), float64 `[U]`."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(matches.totals, k)]
    return _ratio(_hits(matches, k) @ discounts, ideal)


def mrr(matches: Matches) -> Floats:
    """1 / place of the first relevant item of the whole list, 0 if none, float64 `[U]`."""
    place = matches.hits.argmax(axis=1) + 1
    return _known(np.where(matches.hits.any(axis=1), 1 / place, 0.0), matches.totals)


def map_at_k(matches: Matches, k: int) -> Floats:
    """Average precision: precision at each hit's place, over min(k, relevant), float64 `[U]`."""
    hits = _hits(matches, k)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _ratio((precision * hits).sum(axis=1), np.minimum(matches.totals, k))


def accuracy(matches: Matches, ks: Sequence[int]) -> dict[str, Floats]:
    """Every metric of this module under its published name, such as `recall_at_10`."""
    values: dict[str, Floats] = {}
    for k in ks:
        values[f"recall_at_{k}"] = recall_at_k(matches, k)
        values[f"hit_rate_at_{k}"] = hit_rate_at_k(matches, k)
        values[f"ndcg_at_{k}"] = ndcg_at_k(matches, k)
        values[f"map_at_{k}"] = map_at_k(matches, k)
    values["mrr"] = mrr(matches)
    return values


def refuse_short_lists(width: int, k: int) -> None:
    """Raises InputFault if lists of `width` places cannot be judged at k."""
    if not 1 <= k <= width:
        raise InputFault(
            f"lists of {width} places cannot be judged at {k}",
            value=k,
            where="evaluation",
            fix=f"choose 1 <= k <= {width}, or make longer lists",
        )


def _hits(matches: Matches, k: int) -> Mask:
    refuse_short_lists(matches.hits.shape[1], k)
    return matches.hits[:, :k]


def _found(ranked: Rows, relevant: RowSets) -> Mask:
    if not len(relevant.rows):
        return np.zeros(ranked.shape, dtype=np.bool_)
    # One sorted key per (user, row): a single binary search answers all users at once.
    span = max(int(ranked.max(initial=0)), int(relevant.rows.max())) + 1
    keys = relevant.users() * span + relevant.rows
    wanted = np.arange(len(ranked), dtype=np.int64)[:, None] * span + ranked
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Mask = (keys[place] == wanted) & (ranked >= 0)
    return found


def _refuse_repeats(ranked: Rows, first_user: int) -> None:
    ordered = np.sort(ranked, axis=1)
    repeats = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeats.any():
        user, place = np.argwhere(repeats)[0]
        raise InputFault(
            "a list names the same item twice",
            value=int(ordered[user, place]),
            where=f"list of user {first_user + int(user)}",
            fix="keep the first place of each item",
        )


def _ratio(numerator: Floats | Rows, denominator: Floats | Rows) -> Floats:
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _known(values: Floats, totals: Rows) -> Floats:
    known: Floats = np.where(totals > 0, values, np.nan)
    return known

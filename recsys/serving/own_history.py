"""What lists that may repeat know of a user's own past: how often each item was had, how lately.

Popularity counts what everybody had; these terms count the same of the one user:

    own_h = log(1 + sum over the user's events with the item of 2 ** (-age / h))

for the half-lives h of the popularity terms. The model has no weights for them: they begin at 0 and
are fitted with the others. The latest items of each history join the candidates. Called by
`recommend` where `candidates.repeats` is on. numpy only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.evaluation.lists import Mask, Sequences
from recsys.serving.candidates import UserTerms

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
DAY_SECONDS = 86_400
MOST = 100  # items of a history that join the candidates


@dataclass(frozen=True)
class Past:
    """Each pair of a user and an item of the histories, once, by user and then by item.

    Attributes:
        users, items: `[P]`.
        counts: `[P, H]` events, decayed by each half-life.
        latest: `[P]` epoch seconds of the last event.
        half_lives_days: H of them.
    """

    users: Rows
    items: Rows
    counts: Floats
    latest: Rows
    half_lives_days: tuple[float, ...]


def names(half_lives_days: tuple[float, ...]) -> tuple[str, ...]:
    """Of the terms, in their order."""
    return tuple(f"own_{days:g}d" for days in half_lives_days)


def past(histories: Sequences, moments: float | Rows, half_lives_days: tuple[float, ...]) -> Past:
    """Counts histories by user and item.

    Args:
        histories: of U users, before the moments.
        moments: `[U]` epoch seconds at which each asks, or one for all.
        half_lives_days: H of them.
    """
    count = len(histories.offsets) - 1
    users = np.repeat(np.arange(count, dtype=np.int64), np.diff(histories.offsets))
    span = int(histories.items.max(initial=0)) + 1
    pairs, which = np.unique(users * span + histories.items, return_inverse=True)
    asked = np.broadcast_to(np.asarray(moments, np.float64), count)[users]
    ages = np.maximum(asked - histories.times, 0) / DAY_SECONDS
    counts = np.empty((len(pairs), len(half_lives_days)))
    for place, half_life in enumerate(half_lives_days):
        counts[:, place] = np.bincount(which, np.exp2(-ages / half_life), len(pairs))
    latest = np.full(len(pairs), np.iinfo(np.int64).min)
    np.maximum.at(latest, which, histories.times)
    return Past(pairs // span, pairs % span, counts, latest, half_lives_days)


def latest(had: Past, users: int, eligible: Mask) -> Rows:
    """`[U, MOST]` the items that each user had last and that may be listed; -1 behind the last."""
    order = np.lexsort((had.items, -had.latest, had.users))
    order = order[eligible[had.items[order]]]
    owners = had.users[order]
    places = np.arange(len(order)) - np.searchsorted(owners, owners)
    rows = np.full((users, MOST), -1, np.int64)
    near = places < MOST
    rows[owners[near], places[near]] = had.items[order[near]]
    return rows


def terms(had: Past, rows: Rows) -> UserTerms:
    """The terms of candidates `rows [U, N]`; 0 for what a user never had, and behind the last."""
    span = int(max(had.items.max(initial=0), rows.max(initial=0))) + 1
    owners = np.arange(len(rows), dtype=np.int64)[:, None]
    keys, wanted = had.users * span + had.items, owners * span + rows
    places = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    values = np.zeros((*rows.shape, len(had.half_lives_days)))
    if len(keys):
        there = (rows >= 0) & (keys[places] == wanted)
        values[there] = np.log1p(had.counts[places[there]])
    return UserTerms(names(had.half_lives_days), values)

"""How many events an item's id needs before its vector is its own, found on the validation window.

A vector that was learned from few events is mostly noise; what its content says is not. The mixture
is `TwoTower.items`'; its one number is chosen by the likelihood of what users did among all that
could be listed: the smallest that is not clearly worse than the best, by the rule of one standard
error (Breiman and others, 1984), so that ids count wherever they know something.
"""

import numpy as np
import numpy.typing as npt
import torch

from recsys.data import histories as histories_module
from recsys.data.histories import Histories
from recsys.evaluation.lists import RowSets
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.serving import moment, vectors
from recsys.serving.moment import Shop

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
EVENTS = (0.0, 3.0, 10.0, 30.0, 100.0)  # at which an item is half content, half id
MOST_USERS = 1_000  # more are not asked
SCORES = 1 << 22  # scores of a block of users, at most, but of one user at least


def fit(
    model: TwoTower, features: ItemFeatures, shop: Shop, known: Histories, relevant: RowSets,
    at_seconds: int, moments: Rows | None,
) -> None:  # fmt: skip
    """Sets `model.handover`; leaves it 0 where items have no content, or no id.

    Args:
        model: in evaluation mode, with the events of its ids.
        features: of all N items.
        shop: what lists of the window may know.
        known: histories of the window's users at its beginning.
        relevant: what each of them did in it.
        at_seconds: the window's beginning.
        moments: `[U]` when each of them asked; None for the beginning.
    """
    present = features.present
    if not bool((present[:, -1] & present[:, :-1].any(dim=1)).any()):
        return
    could = relevant.restrict(shop.eligible)
    users = np.random.default_rng(0).permutation(np.flatnonzero(could.sizes()))[:MOST_USERS]
    if len(users) < 2:
        return
    asked = histories_module.select(known, tuple(known.user_ids[user] for user in users))
    wanted = [could.rows[could.offsets[user] : could.offsets[user + 1]] for user in users]
    when = at_seconds if moments is None else moments[users]
    terms = moment.item_terms(model, shop, at_seconds)
    offsets = np.where(shop.eligible, terms.offsets(), -np.inf)
    people = moment.people_of(model, shop)
    model.handover.fill_(0.0)
    seen = (features, features.only(features.names))
    whole, content = (torch.from_numpy(vectors.of_items(model, shown)) for shown in seen)
    told = []
    for events in EVENTS:
        model.handover.fill_(events)
        mixed = model.handed_over(features, whole, content) if events else whole
        every = mixed.numpy()
        asking = vectors.of_users(model, every, asked, when, people) / model.temperature.item()
        told.append(_likelihood(asking, every, offsets, asked, wanted))
    model.handover.fill_(EVENTS[_simplest(np.array(told))])


def _likelihood(
    asking: Vectors, every: Vectors, offsets: Floats, asked: Histories, wanted: list[Rows]
) -> Floats:
    """`[U]` each user's mean log probability of what was wanted among what could be listed.

    What could not be listed has an offset of -inf.
    """
    told, size = np.empty(len(asking)), max(1, SCORES // max(1, len(every)))
    items, base = torch.from_numpy(every).T, torch.from_numpy(offsets.astype(np.float32))
    for start in range(0, len(asking), size):
        scores = torch.addmm(base, torch.from_numpy(asking[start : start + size]), items)
        for place, row in enumerate(scores):
            user = start + place
            had = asked.items[asked.offsets[user] : asked.offsets[user + 1]]
            row[torch.from_numpy(np.setdiff1d(had, wanted[user]))] = -torch.inf
            told[user] = row[torch.from_numpy(wanted[user])].double().mean().item()
        told[start : start + size] -= scores.logsumexp(dim=1).numpy()
    return told


def _simplest(told: Floats) -> int:
    """The first of `told [C, U]` that is not worse than the best by more than a standard error."""
    best = told[told.mean(axis=1).argmax()]
    lack = best - told
    error = lack.std(axis=1) / np.sqrt(lack.shape[1])
    return int(np.flatnonzero(lack.mean(axis=1) <= error)[0])

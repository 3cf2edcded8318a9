"""What drew a row of a list: its score is taken again with one thing left out.

Leaving one out is exact for this model and needs nothing of its inside: a part says how much lower
the row's score were without it. Parts need not add up to the score, as what is left makes up for
some of what is gone. Called for the explorer, `show-user --why` and the report.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from recsys.data import histories
from recsys.data.histories import Histories, Integers
from recsys.models.item_features import ItemFeatures
from recsys.serving import vectors
from recsys.serving.recommend import Recommender

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
LATEST = 40  # distinct items of a history that are left out, one after the other
PULLS = 3  # items of the history that are named for a row


@dataclass(frozen=True)
class Drawn:
    """What drew K rows.

    Attributes:
        items: `[H]` distinct item rows of the history, latest first.
        by_item: `[K, H]` what each row's score loses without an item of the history.
        modalities: M names, the id last.
        by_modality: `[K, M]` what it loses without a modality; NaN where the item lacks it, or has
            nothing else.
    """

    items: Rows
    by_item: Floats
    modalities: tuple[str, ...]
    by_modality: Floats

    def pulls(self, place: int) -> list[tuple[int, float]]:
        """Items of the history that drew a row most, with what it loses without each; above 0."""
        worth = self.by_item[place]
        strongest = np.argsort(-worth, kind="stable")[:PULLS]
        return [(int(self.items[h]), float(worth[h])) for h in strongest if worth[h] > 0]

    def parts(self, place: int) -> dict[str, float]:
        """What a row loses without each modality that its item has."""
        worth = zip(self.modalities, self.by_modality[place], strict=True)
        return {name: float(value) for name, value in worth if np.isfinite(value)}


@dataclass(frozen=True)
class LeftOut:
    """A user's vectors when each item of the history is left out.

    Attributes:
        items: `[H]` distinct item rows of the history, latest first.
        users: `[H + 1, D]` of the whole history, then without each item.
    """

    items: Rows
    users: npt.NDArray[np.float32]


def left_out(recommender: Recommender, history: Histories) -> LeftOut:
    """What `drawn` needs of one user, whatever the rows: the costly part.

    Args:
        recommender: that makes the lists.
        history: of that one user, with at least one event.
    """
    items = _latest(history.items)
    asked = _each_left_out(history, items)
    model, every, at = recommender.model, recommender.item_vectors, recommender.at_seconds
    return LeftOut(items, vectors.of_users(model, every, asked, at, recommender.people))


def drawn(recommender: Recommender, features: ItemFeatures, without: LeftOut, rows: Rows) -> Drawn:
    """What drew `rows` into the list of one user.

    Args:
        recommender: that made the list.
        features: of all items, as the recommender's vectors were made from.
        without: of that user, by `left_out`.
        rows: `[K]` item rows.
    """
    items, users = without.items, without.users
    scale = recommender.reranker.weights[0] / recommender.model.temperature.item()
    similarities = scale * (users.astype(np.float64) @ recommender.item_vectors[rows].T)
    names = (*features.names, "id")
    return Drawn(
        items,
        (similarities[0] - similarities[1:]).T,
        names,
        scale * _by_modality(recommender, features, users[0], rows),
    )


def _latest(items: Integers) -> Rows:
    """Distinct items, the latest first."""
    backwards = items[::-1]
    places = np.sort(np.unique(backwards, return_index=True)[1])[:LATEST]
    return backwards[places].astype(np.int64)


def _each_left_out(history: Histories, items: Rows) -> Histories:
    """The whole history, then the same user without each item: `H + 1` times."""
    count, events = len(items) + 1, len(history.items)
    kept = np.ones((count, events), np.bool_)
    kept[1:] = history.items != items[:, None]
    repeated = Histories(
        history.user_ids * count,
        np.arange(count + 1, dtype=np.int64) * events,
        np.tile(history.items, count),
        np.tile(history.events, count),
        np.tile(history.times, count),
        np.tile(history.weights, count),
    )
    return histories.kept(repeated, kept.ravel())


@torch.inference_mode()
def _by_modality(
    recommender: Recommender, features: ItemFeatures, user: npt.NDArray[np.float32], rows: Rows
) -> Floats:
    """`[K, M]` how much less alike an item without a modality is to the user."""
    chosen = features.gather(torch.from_numpy(rows))
    present = chosen.present.numpy()
    whole = recommender.item_vectors[rows] @ user
    parts = np.full(present.shape, np.nan)
    for modality in range(present.shape[1]):
        mask = chosen.present.clone()
        mask[:, modality] = False
        usable = present[:, modality] & mask.any(dim=1).numpy()
        if usable.any():
            left = vectors.of_items(recommender.model, replace(chosen, present=mask))
            parts[usable, modality] = (whole - left @ user)[usable]
    return parts

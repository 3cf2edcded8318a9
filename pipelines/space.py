"""Opens the item space of a model; `search`, `similar` and the explorer ask it.

space = open_space(settings)
rows, scores = space.items.similar(space.row("b42"), k=10)
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pipelines import encode, inputs, look, pretrain, stand_ins, train
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys.models.item_features import ID, ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.serving import co_consumption, item_space, vectors
from recsys.serving.item_space import Filters, ItemSpace, Measure

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]
View = Literal["content", "collaborative", "both"]
Source = Literal["live", "pretrained"]


@dataclass(frozen=True)
class Space:
    """Catalogue, model and item vectors, put together once and asked many times.

    Attributes:
        settings, found: what it was opened with.
        towers: whose item tower made the vectors.
        content: identifies that model.
        features: of all items, as the view shows them.
        items: the vectors and their index.
    """

    settings: Settings
    found: Inputs
    towers: TwoTower
    content: str
    features: ItemFeatures
    items: ItemSpace

    def row(self, item: str) -> int:
        """The row of an item id.

        Raises:
            InputFault: no such item; names near ones.
        """
        row = int(self.found.vocabulary.rows([item])[0])
        if row < 0:
            raise look.unknown("item", item, self.found.items["item_id"], "the catalogue")
        return row

    def allowed(self, filters: Filters) -> Mask:
        """Which items may be found: those that pass, and none of `nightly.blocked`.

        Raises:
            UsageFault: a filter that cannot be.
        """
        blocked = self.found.vocabulary.rows(self.settings.nightly.blocked)
        allowed = filters.allowed(self.found.items)
        allowed[blocked[blocked >= 0]] = False
        return allowed

    def told(self, rows: Rows, scores: Vectors) -> list[dict[str, Any]]:
        """One row for each item found: rank, id, score, what it is, and what its vector says.

        `weights` is how much each modality counted in the item's vector; None for a fusion that
        does not weigh.
        """
        rows, scores = rows[rows >= 0], scores[rows >= 0]
        columns = ("item_id", "title", "category", "price", "available")
        known = self.found.items[rows].select(columns).iter_rows(named=True)
        weights = weights_of(self.towers, self.features.gather(torch.from_numpy(rows)))
        return [
            {"rank": rank, "score": float(score), **item, "weights": weight}
            for rank, (score, item, weight) in enumerate(
                zip(scores, known, weights, strict=True), 1
            )
        ]


def open_space(
    settings: Settings, view: View = "both", measure: Measure = "cosine", source: Source = "live"
) -> Space:
    """The item space of a model over the catalogue as it is now.

    Args:
        settings: all of them; `lists.index` says which index.
        view: what item vectors are made from: content, the id (what people did), or both.
        measure: what near means.
        source: the live model, or the pretrained one, which knows content only.

    Raises:
        InputFault: there is no model or catalogue yet, or one is damaged.
    """
    found = inputs.load(settings)
    if source == "live":
        model = train.load(settings)
        towers, content = model.towers, model.content
        features = stand_ins.item_features(settings, found, model.trained, model.attributes)
    else:
        known = pretrain.read(settings)
        towers, content = known.towers, known.content
        features = encode.item_features(settings, found, (), known.attributes)
    features = seen_as(features, view)
    every = vectors.of_items(towers, features)
    rows = np.flatnonzero(features.present.any(dim=1).numpy())
    item_space.require_some(rows, f"none has what the view {view} reads")
    metric = None
    if measure == "co-consumption":
        taken = co_consumption.pairs(found.events)
        metric = co_consumption.fit(every, *taken)
    checksum = found.vocabulary.checksum
    index = settings.lists.index
    items = item_space.build(every, rows, checksum, index, measure, metric, settings.root)
    return Space(settings, found, towers, content, features, items)


def seen_as(features: ItemFeatures, view: View) -> ItemFeatures:
    """`features` with what a view does not read hidden."""
    match view:
        case "content":
            return features.only(features.names)
        case "collaborative":
            return features.only((ID,))
        case "both":
            return features


@torch.inference_mode()
def weights_of(towers: TwoTower, features: ItemFeatures) -> list[dict[str, float] | None]:
    """How much each modality counts in each item's vector, absent ones left out; sums to 1."""
    weights = towers.item_tower.modality_weights(features)
    if weights is None:
        return [None] * len(features)
    names = (*features.names, ID)
    return [
        {name: float(value) for name, value, has in zip(names, row, there, strict=True) if has}
        for row, there in zip(weights, features.present, strict=True)
    ]


def weighed(weights: dict[str, float]) -> str:
    """Weights of modalities in words, the largest first."""
    ordered = sorted(weights.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {weight:.0%}" for name, weight in ordered)

"""What item tower and encoders learn from the catalogue alone; called by `pretrain` and `tuned`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipelines import arranged, encode
from pipelines.arranged import Places
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys.data import histories as histories_module
from recsys.models.item_features import ItemFeatures
from recsys.serving import co_consumption
from recsys.training.material import Material


@dataclass(frozen=True)
class CatalogueLesson:
    """The content of the items that the training part knows, and what was taken together there.

    The windows that validate and test remain unseen.

    Attributes:
        material: of n items; without turned photos and frames.
        attributes: state of the attribute encoder.
        place: `[N]` each item's place among the n, or -1.
    """

    material: Material
    attributes: dict[str, Any]
    place: Places


def prepare(settings: Settings, found: Inputs) -> CatalogueLesson:
    """The lesson, from vectors that are in the stores."""
    split = found.split(settings)
    learned = split.training
    known = histories_module.counts(learned, len(found.vocabulary)) > 0
    attributes = encode.fit_attributes(settings, found, known)
    features = encode.item_features(settings, found, (), attributes)
    content = torch.from_numpy(known) & features.present.any(dim=1)
    rows = content.nonzero().squeeze(1)
    place = np.full(len(known), -1)
    place[rows.numpy()] = np.arange(len(rows))
    first, second = (place[side] for side in co_consumption.pairs(learned))
    both = (first >= 0) & (second >= 0)
    pairs = torch.from_numpy(first[both]), torch.from_numpy(second[both])
    return CatalogueLesson(Material(features.gather(rows), *pairs), attributes, place)


def with_arranged(settings: Settings, found: Inputs, lesson: CatalogueLesson) -> Material:
    """The lesson's material with turned photos and frames, where objectives ask for them."""
    items, place = lesson.material.items, lesson.place
    return replace(
        lesson.material,
        turned=arranged.photos(settings, found, place),
        frames=arranged.frames(settings, found, place, _photos_of(items)),
    )


def _photos_of(items: ItemFeatures) -> torch.Tensor:
    """Vectors `[n, D_m]` of the items that have photos; none where there is no such modality."""
    if "image" not in items.names:
        return torch.zeros(0, 0)
    return items.mean("image")[items.present[:, items.names.index("image")]]

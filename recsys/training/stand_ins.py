"""Vectors that a pretrained tower generates for the modalities that items lack."""

import torch
from torch import Tensor
from torch.nn import functional

from recsys.models.item_features import ItemFeatures
from recsys.models.item_tower import ItemTower, Projection
from recsys.training.objectives import Generate

ROWS = 4096  # items at a time
Made = dict[str, tuple[Tensor, Tensor]]


@torch.inference_mode()
def generated(tower: ItemTower, generate: Generate, features: ItemFeatures) -> Made:
    """For each content modality the rows `[n]` of the items that lack it, and vectors `[n, D_m]`.

    A vector is generated from the view of all that an item has, its id aside; for items that have
    nothing else there is none.

    Args:
        tower: pretrained, in evaluation mode.
        generate: the objective that was trained with it.
        features: of N items, as the pretraining encoded them.
    """
    content = features.only(features.names).present
    made: Made = {}
    for number, name in enumerate(features.names):
        rows = (~content[:, number] & content.any(dim=1)).nonzero().squeeze(1)
        projection = tower.projections[number]
        assert isinstance(projection, Projection)
        vectors = [
            generate.decoders[number](_seen(tower, features.gather(part), content[part]))
            for part in torch.split(rows, ROWS)
            if len(part)
        ]
        standard = torch.cat(vectors) if vectors else torch.zeros(0, features.widths[name])
        made[name] = rows, standard * projection.deviation + projection.mean
    return made


def filled(features: ItemFeatures, made: Made) -> ItemFeatures:
    """`features` with what was made for `made`'s modalities where it lacks them."""
    present, values = features.present.clone(), dict(features.values)
    places = {name: place for name, place in features.places.items() if name not in made}
    for name, (rows, vectors) in made.items():
        lacks = ~present[rows, features.names.index(name)]
        value = features.each(name).clone()
        if value.dim() == 3:
            value[rows[lacks]] = torch.nan
            value[rows[lacks], 0] = vectors[lacks]
        else:
            value[rows[lacks]] = vectors[lacks]
        values[name] = value
        present[rows, features.names.index(name)] = True
    return ItemFeatures(features.names, values, present, features.table_rows, places)


def _seen(tower: ItemTower, items: ItemFeatures, content: Tensor) -> Tensor:
    """`[n, D]` as the objective saw them: fused, of length 1, without ids."""
    return functional.normalize(tower.views(items, content[None])[0].float(), dim=-1)

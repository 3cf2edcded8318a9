"""Item features as the towers see them, with generated vectors in the place of missing ones.

`pretrain.stand_ins` decides; `evaluate --stand-ins` compares with leaving them masked.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from safetensors.torch import load_file

from pipelines import encode, pretrain
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys.errors import InputFault, MismatchFault
from recsys.models.item_features import ItemFeatures
from recsys.training import stand_ins
from recsys.training.objectives import Generate

LEFT_OUT = "attributes"  # what is encoded anew for each model has no vector to generate


def item_features(
    settings: Settings, found: Inputs, trained: Sequence[str], state: dict[str, Any]
) -> ItemFeatures:
    """As `encode.item_features`; with `pretrain.stand_ins`, nothing that can be generated lacks."""
    features = encode.item_features(settings, found, trained, state)
    return filled(settings, found, features) if settings.pretrain.stand_ins else features


def content(settings: Settings) -> str:
    """Identifies the item features as they are now (16 hex digits)."""
    known = encode.content(settings)
    if not settings.pretrain.stand_ins:
        return known
    return hashlib.sha256(f"{known} {pretrain.live(settings)}".encode()).hexdigest()[:16]


def filled(settings: Settings, found: Inputs, features: ItemFeatures) -> ItemFeatures:
    """`features` with vectors that the live pretrained model generates for what items lack.

    Raises:
        InputFault: nothing is pretrained yet, or nothing that generates.
        MismatchFault: it was pretrained with other encoders.
    """
    known = pretrain.read(settings)
    seen = encode.item_features(settings, found, (), known.attributes)
    shape = dict(known.towers.shape.modalities)
    wanted = {name: width for name, width in features.widths.items() if name != LEFT_OUT}
    if seen.widths != shape or not wanted.items() <= shape.items():
        raise MismatchFault(
            "the pretrained model knows other modalities", value=f"{shape}, here {wanted}",
            where="pretrain.stand_ins", fix="run `recsys pretrain` with these settings",
        )  # fmt: skip
    weights = {
        name.removeprefix("generate."): value
        for name, value in load_file(known.folder / pretrain.HEADS).items()
        if name.startswith("generate.decoders.")
    }
    if not weights:
        raise InputFault(
            "the pretrained model generates nothing", value=known.folder.name,
            where="pretrain.stand_ins",
            fix="run `recsys pretrain` with pretrain.objectives.generate above 0",
        )  # fmt: skip
    generate = Generate(shape, known.towers.settings.width, critic=0.0)
    generate.load_state_dict(weights)
    made = stand_ins.generated(known.towers.item_tower, generate, seen)
    return stand_ins.filled(features, {name: made[name] for name in wanted})

"""The networks of encoders learn by the objectives of pretraining; called by `pretrain`.

What comes out are encoders as others are, with weights of their own: settings name them, and stores
hold their vectors apart from those of the encoders that they were.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines import catalogue_lesson, sources
from pipelines.catalogue_lesson import CatalogueLesson
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys import artefacts, durable
from recsys.errors import UsageFault
from recsys.features import arranged, tunable
from recsys.features.arranged import RotatedPhotos
from recsys.features.encoders import Modality
from recsys.features.tunable import Tunable, Tuned
from recsys.models import two_tower
from recsys.progress import say
from recsys.settings import fingerprint
from recsys.training import pretraining
from recsys.training.material import ArrangedLive, Live, Material

KIND, ROOT = "tuned", "tuned"
EVERY = 20  # steps between two lines of progress
Named = dict[str, dict[str, str]]  # by modality the setting that names a file, and its path


def run(settings: Settings, found: Inputs, what: Tuned) -> Named:
    """Tunes the encoders that are networks and saves them.

    Returns:
        by modality the setting of `features` that names what was saved, and its path.

    Raises:
        UsageFault: no encoder of `pretrain.tuning.modalities` is a network, or peft is missing.
        InputFault: a loss that is not finite.
    """
    chosen = settings.pretrain.tuning
    encoders: dict[Modality, Tunable] = {
        modality: deepcopy(encoder)
        for modality in chosen.modalities
        if isinstance(encoder := sources.encoder(settings, modality), Tunable)
    }
    if not encoders:
        raise UsageFault(
            "no encoder here is a network that can learn", value=", ".join(chosen.modalities),
            where="pretrain.tuning.modalities", fix="set features.text.encoder=transformers or "
            "features.image.encoder=timm, or pretrain.trainable=adapters",
        )  # fmt: skip
    lesson = catalogue_lesson.prepare(settings, found)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.pretrain.seed)
        ends = [
            tunable.begin(encoder.network, what, chosen.layers, chosen.rank, chosen.checkpointing)
            for encoder in encoders.values()
        ]
    material = _material(settings, found, lesson, encoders)
    names, width = settings.event_names, settings.model.width
    tower = two_tower.build(settings.model, material.items, names, settings.pretrain.seed)

    def report(step: int, loss: float) -> None:
        if (step + 1) % EVERY == 0:
            say(f"tuning step {step + 1} of {chosen.steps}: loss {loss:.4f}")

    pretraining.tune(tower.item_tower, width, material, settings.pretrain, settings.train, report)
    for end in ends:
        end()
    return _publish(settings, found, encoders)


def reading(settings: Settings, named: Named) -> Settings:
    """`settings` that read what was saved."""
    features = settings.features
    changed = {
        modality: getattr(features, modality).model_copy(update=setting)
        for modality, setting in named.items()
    }
    return settings.model_copy(update={"features": features.model_copy(update=changed)})


def overrides(named: Named) -> list[str]:
    """The settings as they can follow a command."""
    return [
        f"features.{modality}.{key}={path}"
        for modality, setting in named.items()
        for key, path in setting.items()
    ]


def _material(
    settings: Settings, found: Inputs, lesson: CatalogueLesson, encoders: dict[Modality, Tunable]
) -> Material:
    """What is read live, by each encoder; of an item the first of several pictures."""
    weights = settings.pretrain.objectives
    given = {modality: _given(settings, found, lesson, modality) for modality in encoders}
    live = tuple(
        Live(modality, encoder.network, _reader(encoder, given[modality]))
        for modality, encoder in encoders.items()
    )
    turned, learned = None, lesson.material
    if weights.rotation and "image" in encoders:
        some = [place for place, source in enumerate(given["image"]) if source is not None]
        photos = [given["image"][place] for place in some]
        turned = ArrangedLive(torch.tensor(some), _turner(settings, encoders["image"], photos))
    if not weights.together:  # what no objective asks for is not read
        learned = replace(learned, first=learned.first[:0], second=learned.second[:0])
    return replace(learned, turned=turned, live=live)


def _given(
    settings: Settings, found: Inputs, lesson: CatalogueLesson, modality: Modality
) -> list[str | Path | None]:
    """The source of each item of the lesson that has a vector; None for the others."""
    by_key = sources.of(settings, modality, found.items)
    if modality == "text":
        keys = found.items["text_hash"].to_list()
    else:
        several = sources.media(settings, modality, found.items)[1].to_list()
        keys = [next(iter(one or ()), None) for one in several]
    rows = np.flatnonzero(lesson.place >= 0)  # in the order of their places
    return [by_key.get(keys[row]) if keys[row] is not None else None for row in rows]


def _reader(encoder: Tunable, given: list[str | Path | None]) -> Callable[[Tensor], Tensor]:
    def read(rows: Tensor) -> Tensor:
        return encoder.vectors([encoder.load(given[row]) for row in rows.tolist()])

    return read


def _turner(settings: Settings, encoder: Any, photos: list[Any]) -> Callable[[Tensor], Tensor]:
    turns = RotatedPhotos(encoder, settings.features.limits)

    def read(places: Tensor) -> Tensor:
        every = [turned for place in places.tolist() for turned in turns.load(photos[place])]
        vectors: Tensor = encoder.vectors(every)
        return vectors.view(len(places), arranged.TURNS, -1)

    return read


def _publish(settings: Settings, found: Inputs, encoders: dict[Modality, Tunable]) -> Named:
    root, parents = settings.root / ROOT, {"catalogue": found.catalogue.name}
    before = {modality: encoder.fingerprint for modality, encoder in encoders.items()}
    name = f"tuned-{fingerprint(settings.pretrain)[:6]}-{fingerprint(settings.features)[:6]}"
    name += f"-{found.interactions.name[-8:]}"
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        saved = {modality: encoder.save(staged.folder) for modality, encoder in encoders.items()}
        durable.write_json(staged.folder / "tuned.json", {"encoders": before, "settings": saved})
    return {
        modality: {key: str(root / name / path) for key, path in setting.items()}
        for modality, setting in saved.items()
    }

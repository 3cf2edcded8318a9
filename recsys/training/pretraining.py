"""Self-supervised training of the item tower on a catalogue's own vectors. Called by `pretrain`.

The encoders stay frozen; projections and fusion learn. The same data and settings give, on the
CPU, the same weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from recsys.errors import InputFault
from recsys.models.item_tower import ItemTower
from recsys.settings import Section
from recsys.training import contrast, objectives
from recsys.training.contrast import Batch, Outcome
from recsys.training.material import Draw, Material
from recsys.training.objectives import ObjectiveWeights
from recsys.training.settings import TrainingSettings, autocast, chosen_device, cuda_devices


class TuningSettings(Section):
    """How the networks of encoders learn, where `pretrain.trainable` lets them."""

    modalities: tuple[Literal["text", "image"], ...] = Field(
        ("text", "image"), description="whose encoders; those that are no networks stay as they are"
    )
    layers: int = Field(2, ge=1, le=1000, description="last_layers: how many")
    rank: int = Field(8, ge=1, le=1024, description="lora: of the matrices that are added")
    steps: int = Field(100, ge=1, description="batches")
    batch: int = Field(16, ge=8, description="items, pairs of items, and photos, of a batch")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="AdamW's, falling as a cosine")
    checkpointing: bool = Field(
        False, description="compute activations anew on the way back: less memory, more time"
    )


class PretrainingSettings(Section):
    """What is learned from the catalogue before there is anything to recommend."""

    trainable: Literal["adapters", "lora", "last_layers", "all"] = Field(
        "adapters",
        description="adapters: the item tower over frozen encoders; else the networks of encoders "
        "learn before, in low-rank additions (needs peft), their last layers, or all",
    )
    tuning: TuningSettings = Field(TuningSettings(), description="of the encoders' networks")
    warm_start: bool = Field(
        False, description="whether `train` begins from the live pretrained model"
    )
    stand_ins: bool = Field(
        False,
        description="whether vectors that the live pretrained model generates stand in for missing "
        "modalities, in training and in lists; after another `pretrain`, train anew",
    )
    steps: int = Field(400, ge=1, description="batches")
    batch: int = Field(256, ge=8, description="items, and pairs of items, of a batch")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="AdamW's, falling as a cosine")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, of matrices and vectors alike")
    held_out: float = Field(
        0.1, gt=0, le=0.5, description="share of items on which the objectives are judged"
    )
    sample: int = Field(
        2000, ge=1, description="photos and clips that objectives rotation and order learn from"
    )
    seed: int = Field(0, ge=0, description="fixes what is held out, batches and weights")
    objectives: ObjectiveWeights = Field(
        ObjectiveWeights(), description="what is learned, by weight"
    )


@dataclass(frozen=True)
class Judged:
    """How an objective does on held-out items: before, after, by chance; and answers judged."""

    name: str
    before: float
    after: float
    chance: float
    loss: float
    answers: int


def fit(
    tower: ItemTower,
    width: int,
    material: Material,
    settings: PretrainingSettings,
    training: TrainingSettings,
    report: Callable[[int, float], None],
) -> tuple[list[Judged], dict[str, nn.Module]]:
    """Trains `tower` in place, on the CPU again at the end.

    Args:
        tower: standardised by these items, of `width` D.
        width: D.
        material: what to learn from.
        settings: of the pretraining.
        training: device and precision.
        report: called after each step with its number and loss.

    Returns:
        each objective's figures on held-out items, and the trained objectives by name.

    Raises:
        InputFault: too few items, or a loss that is not finite.
    """
    if len(material.items) < 20:
        raise InputFault(
            "too few items to pretrain on", value=len(material.items), where="the catalogue",
            fix="at least 20 items with content that training knows",
        )  # fmt: skip
    device = chosen_device(training)
    with torch.random.fork_rng(devices=cuda_devices(device)):
        torch.manual_seed(settings.seed)
        made = objectives.build(settings.objectives, material.items.widths, width)
        heads = nn.ModuleDict({name: objective for name, (_, objective) in made.items()})
        tower.to(device), heads.to(device)
        draw = Draw(material, settings.batch, settings.held_out, settings.seed, device)
        before = _judge(tower, heads, draw.held_out())
        _train(tower, made, draw, settings, training, report)
        after = _judge(tower, heads, draw.held_out())
    tower.cpu(), heads.cpu()
    figures = [
        Judged(
            name, before[name].right / max(answers := after[name].answers, 1),
            after[name].right / max(answers, 1), after[name].chance / max(answers, 1),
            float(after[name].loss), answers,
        )
        for name in made
    ]  # fmt: skip
    return figures, dict(heads.items())


def tune(
    tower: ItemTower,
    width: int,
    material: Material,
    settings: PretrainingSettings,
    training: TrainingSettings,
    report: Callable[[int, float], None],
) -> None:
    """Trains the encoders of `material.live`, and `tower` beside them; arguments as of `fit`.

    Items that `fit` holds out with the same settings are not learned from here either.

    Raises:
        InputFault: a loss that is not finite.
    """
    device, chosen = chosen_device(training), settings.tuning
    shorter = settings.model_copy(update={"steps": chosen.steps, "batch": chosen.batch})
    with torch.random.fork_rng(devices=cuda_devices(device)):
        torch.manual_seed(settings.seed)
        made = objectives.build(settings.objectives, material.items.widths, width)
        nn.ModuleList([tower, *(head for _, head in made.values())]).to(device)
        draw = Draw(material, chosen.batch, settings.held_out, settings.seed, device)
        _train(tower, made, draw, shorter, training, report)
    tower.cpu()


def _groups(
    tower: ItemTower,
    made: dict[str, tuple[float, nn.Module]],
    draw: Draw,
    settings: PretrainingSettings,
) -> list[dict[str, Any]]:
    """What learns at which rate: tower and objectives; encoders, if they do."""
    weights = [*tower.parameters(), *(w for _, head in made.values() for w in head.parameters())]
    weights = [weight for weight in weights if weight is not tower.id_embedding.table.weight]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}]
    tuned = [weight for weight in draw.tuned() if weight.requires_grad]
    if tuned:
        groups.append({"params": tuned, "lr": settings.tuning.learning_rate, "weight_decay": 0.0})
    return groups


def _train(
    tower: ItemTower,
    made: dict[str, tuple[float, nn.Module]],
    draw: Draw,
    settings: PretrainingSettings,
    training: TrainingSettings,
    report: Callable[[int, float], None],
) -> None:
    """The loop: the objectives of a batch, weighed and added."""
    groups = _groups(tower, made, draw, settings)
    weights = [weight for group in groups for weight in group["params"]]
    optimizer = torch.optim.AdamW(groups, settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    tower.train()
    for step in range(settings.steps):
        with autocast(training, draw.device):
            batch = draw.batch()
            seen = contrast.views(tower, batch)
            told = [(share, objective(seen)) for share, objective in made.values()]
        loss = torch.stack([share * outcome.loss for share, outcome in told]).sum()
        if not math.isfinite(float(loss.detach())):
            raise InputFault(
                "pretraining became unstable: its loss is not finite", value=float(loss),
                where=f"step {step}", fix="look for features that are not finite, or lower "
                "pretrain.learning_rate",
            )  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        report(step, float(loss.detach()))
    tower.eval()


@torch.no_grad()
def _judge(tower: ItemTower, heads: nn.ModuleDict, batch: Batch) -> dict[str, Outcome]:
    """The outcome of every objective on one batch, in evaluation mode."""
    tower.eval()
    seen = contrast.views(tower, batch)
    return {name: objective(seen) for name, objective in heads.items()}

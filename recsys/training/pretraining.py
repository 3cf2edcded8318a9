"""Self-supervised training of the item tower on a catalogue's own vectors. Called by `pretrain`.

The encoders stay frozen; projections and fusion learn. The same data and settings give, on the
CPU, the same weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys.errors import InputFault
from recsys.models.item_features import ItemFeatures
from recsys.models.item_tower import ItemTower
from recsys.settings import Section
from recsys.training import contrast, objectives
from recsys.training.contrast import Batch, Outcome
from recsys.training.objectives import ObjectiveWeights
from recsys.training.settings import TrainingSettings, autocast, chosen_device


class PretrainingSettings(Section):
    """What is learned from the catalogue before there is anything to recommend."""

    warm_start: bool = Field(
        False, description="whether `train` begins from the live pretrained model"
    )
    steps: int = Field(400, ge=1, description="batches")
    batch: int = Field(256, ge=8, description="items, and pairs of items, of a batch")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="AdamW's, falling as a cosine")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, of matrices and vectors alike")
    held_out: float = Field(
        0.1, gt=0, le=0.5, description="share of items on which the objectives are judged"
    )
    seed: int = Field(0, ge=0, description="fixes what is held out, batches and weights")
    objectives: ObjectiveWeights = Field(
        ObjectiveWeights(), description="what is learned, by weight"
    )


@dataclass(frozen=True)
class Material:
    """What there is to learn from.

    Attributes:
        items: N items; their ids are not looked at.
        first, second: `[P]` rows of pairs that somebody took one after the other.
    """

    items: ItemFeatures
    first: Tensor
    second: Tensor


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
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        made = objectives.build(settings.objectives, material.items.widths, width)
        heads = nn.ModuleDict({name: objective for name, (_, objective) in made.items()})
        tower.to(device), heads.to(device)
        draw = _Draw(material, settings, device)
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


def _train(
    tower: ItemTower,
    made: dict[str, tuple[float, nn.Module]],
    draw: "_Draw",
    settings: PretrainingSettings,
    training: TrainingSettings,
    report: Callable[[int, float], None],
) -> None:
    """The loop: the objectives of a batch, weighed and added."""
    weights = [*tower.parameters(), *(w for _, head in made.values() for w in head.parameters())]
    weights = [weight for weight in weights if weight is not tower.id_embedding.table.weight]
    optimizer = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=0.0)
    optimizer.param_groups[0]["weight_decay"] = settings.weight_decay
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    tower.train()
    for step in range(settings.steps):
        batch = draw.batch()
        with autocast(training, draw.device):
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


class _Draw:
    """Draws batches of learned items, and the one of held-out items, by a generator of its own."""

    def __init__(
        self, material: Material, settings: PretrainingSettings, device: torch.device
    ) -> None:
        self.device = device
        self._items = material.items.to(device)
        self._random = torch.Generator().manual_seed(settings.seed)
        count = len(material.items)
        order = torch.randperm(count, generator=self._random)
        held = torch.zeros(count, dtype=torch.bool)
        held[order[: max(2, round(count * settings.held_out))]] = True
        self._held, self._learned = order[held[order]], order[~held[order]]
        self._size = settings.batch
        outside = held[material.first] | held[material.second]
        pairs = torch.stack([material.first, material.second])
        self._pairs, self._held_pairs = pairs[:, ~outside], pairs[:, outside]
        counts = torch.bincount(pairs.flatten(), minlength=count).clamp(min=1).double()
        self._log_q = (counts / counts.sum()).log().float()

    def batch(self) -> Batch:
        """Items and pairs at random, among those that are learned from."""
        size = min(self._size, len(self._learned))
        rows = self._learned[torch.randperm(len(self._learned), generator=self._random)[:size]]
        return self._of(rows, self._some(self._pairs))

    def held_out(self) -> Batch:
        """At most as many held-out items and pairs as a batch has."""
        return self._of(self._held[: self._size], self._some(self._held_pairs))

    def _some(self, pairs: Tensor) -> Tensor:
        if not pairs.shape[1]:
            return pairs
        size = min(self._size, pairs.shape[1])
        return pairs[:, torch.randint(pairs.shape[1], (size,), generator=self._random)]

    def _of(self, rows: Tensor, pairs: Tensor) -> Batch:
        first, second = pairs
        alike = (first == first.unsqueeze(1)) | (second == second.unsqueeze(1))
        items = self._items
        return Batch(
            items.gather(rows), items.gather(first), items.gather(second), alike.to(self.device),
            torch.stack([self._log_q[second], self._log_q[first]]).to(self.device),
        )  # fmt: skip

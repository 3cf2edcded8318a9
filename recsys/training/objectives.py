"""Self-supervised objectives over the item tower: what a catalogue teaches without labels.

Each fulfils the contract of `contrast`. Called by `pretraining`, which adds them up by weights.
"""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recsys.settings import Section
from recsys.training.arrangement import Order, Rotation
from recsys.training.contrast import InfoNce, Outcome, Views, nothing, total


class ObjectiveWeights(Section):
    """How much each objective counts in the loss; 0 leaves it out."""

    align: float = Field(0.1, ge=0, description="the same item's modalities find each other")
    match: float = Field(0.1, ge=0, description="do two modalities belong together? hard negatives")
    masked: float = Field(0.1, ge=0, description="the hidden modality among those of the batch")
    generate: float = Field(0.3, ge=0, description="the hidden modality's vector, reconstructed")
    critic: float = Field(
        0.0, ge=0, description="generate: how much it must deceive a critic (adversarial)"
    )
    identity: float = Field(0.3, ge=0, description="some modalities of an item find the whole item")
    together: float = Field(1.0, ge=0, description="items taken together find each other")
    rotation: float = Field(
        0.0, ge=0, description="which way a photo was turned; encodes `pretrain.sample` photos anew"
    )
    order: float = Field(
        0.0, ge=0,
        description="which of three frames was in the middle; encodes frames of as many clips",
    )  # fmt: skip


class Align(nn.Module):
    """Every pair of modalities: the views of one item find each other among those of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.contrast = InfoNce()

    def forward(self, views: Views) -> Outcome:
        """The mean over the pairs of modalities."""
        return total(self.contrast(first, second) for first, second in _pairs(views))


class Match(nn.Module):
    """Do two modalities belong to one item? Binary cross-entropy with hard in-batch negatives.

    Each view meets its own partner and a wrong one, drawn the more often the nearer it lies (ALBEF,
    Li et al., 2021).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, views: Views) -> Outcome:
        """The mean over the pairs of modalities; chance is one half."""
        return total(self._pair(first, second) for first, second in _pairs(views))

    def _pair(self, first: Tensor, second: Tensor) -> Outcome:
        count = len(first)
        if count < 2:
            return nothing(first)
        with torch.no_grad():
            near = (first @ second.T / 0.1).fill_diagonal_(-torch.inf).softmax(dim=1)
            wrong = torch.multinomial(near, 1).squeeze(1)
        partners = torch.cat([second, second[wrong]])
        both = torch.cat([first, first])
        logits = self.head(torch.cat([both * partners, (both - partners).abs()], dim=1)).squeeze(1)
        wanted = (torch.arange(2 * count, device=first.device) < count).float()
        loss = functional.binary_cross_entropy_with_logits(logits.float(), wanted)
        right = float(((logits > 0) == (wanted > 0)).sum())
        return Outcome(loss, right, count, 2 * count)


class Masked(nn.Module):
    """A modality is hidden: the view of the others finds the hidden one's among the batch."""

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, width) for _ in range(modalities))
        self.contrast = InfoNce()

    def forward(self, views: Views) -> Outcome:
        """The mean over the modalities."""
        return total(self._hidden(views, number) for number in range(len(self.heads)))

    def _hidden(self, views: Views, number: int) -> Outcome:
        kept = _hideable(views, number)
        guess = functional.normalize(self.heads[number](views.rest[number, kept]).float(), dim=-1)
        told: Outcome = self.contrast(guess, views.single[number, kept])
        return told


class Generate(nn.Module):
    """A modality is hidden: its standardised vector is generated from the view of the others.

    The loss is the mean squared error, plus `critic` times how well a critic tells generated from
    real vectors; its gradient is reversed on the way to the generator (Ganin and Lempitsky, 2015),
    so that one loss trains both. Right is an answer nearer to its own vector than to any other.
    """

    def __init__(self, widths: dict[str, int], width: int, critic: float) -> None:
        super().__init__()
        self.critic = critic
        self.decoders = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, inputs))
            for inputs in widths.values()
        )
        self.critics = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs + width, width), nn.GELU(), nn.Linear(width, 1))
            for inputs in (widths.values() if critic else ())
        )

    def forward(self, views: Views) -> Outcome:
        """The mean over the modalities."""
        return total(self._hidden(views, number) for number in range(len(self.decoders)))

    def _hidden(self, views: Views, number: int) -> Outcome:
        kept = _hideable(views, number)
        # an encoder in training must not make itself easy to guess: what is real stands still
        seen, real = views.rest[number, kept], views.standard[number][kept].detach()
        if len(seen) < 2:
            return nothing(views.whole)
        made = self.decoders[number](seen).float()
        loss = functional.mse_loss(made, real)
        if self.critic:
            loss = loss + self.critic * self._deceit(number, seen, made, real)
        with torch.no_grad():
            nearest = torch.cdist(made, real).argmin(dim=1)
            right = float((nearest == torch.arange(len(made), device=made.device)).sum())
        return Outcome(loss, right, 1.0, len(made))

    def _deceit(self, number: int, seen: Tensor, made: Tensor, real: Tensor) -> Tensor:
        reversed_made = 2 * made.detach() - made  # the value of `made`, its gradient with a minus
        told = torch.cat([reversed_made, real])
        logits = self.critics[number](torch.cat([told, seen.detach().repeat(2, 1)], dim=1))
        wanted = (torch.arange(len(told), device=told.device) >= len(made)).float()
        return functional.binary_cross_entropy_with_logits(logits.squeeze(1).float(), wanted)


class Identity(nn.Module):
    """A random part of an item's modalities finds the whole item: what a search does."""

    def __init__(self) -> None:
        super().__init__()
        self.contrast = InfoNce()

    def forward(self, views: Views) -> Outcome:
        """Of the items that have anything."""
        kept = views.present.any(dim=1)
        told: Outcome = self.contrast(views.part[kept], views.whole[kept])
        return told


class Together(nn.Module):
    """Items that somebody took one after the other find each other; popular ones count less."""

    def __init__(self) -> None:
        super().__init__()
        self.contrast = InfoNce()

    def forward(self, views: Views) -> Outcome:
        """Of whole items, without their ids."""
        told: Outcome = self.contrast(views.first, views.second, views.alike, views.log_q)
        return told


def build(
    weights: ObjectiveWeights, widths: dict[str, int], width: int
) -> dict[str, tuple[float, nn.Module]]:
    """The objectives whose weight is above 0, by name, with their weights."""
    made: dict[str, nn.Module] = {
        "align": Align(),
        "match": Match(width),
        "masked": Masked(len(widths), width),
        "generate": Generate(widths, width, weights.critic),
        "identity": Identity(),
        "together": Together(),
        "rotation": Rotation(width),
        "order": Order(width),
    }
    return {
        name: (weight, objective)
        for name, objective in made.items()
        if (weight := float(getattr(weights, name)))
    }


def _hideable(views: Views, number: int) -> Tensor:
    """`[n]` bool: the items that have modality `number` and another one."""
    return views.present[:, number] & (views.present.sum(dim=1) > 1)


def _pairs(views: Views) -> Iterator[tuple[Tensor, Tensor]]:
    """Views `[k, D]`, `[k, D]` of the items that have both, for every pair of modalities."""
    count = len(views.single)
    for first in range(count):
        for second in range(first + 1, count):
            both = views.present[:, first] & views.present[:, second]
            yield views.single[first, both], views.single[second, both]

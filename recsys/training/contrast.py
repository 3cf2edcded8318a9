"""What self-supervised objectives share: their contract, views of items, and InfoNCE.

One contract: an objective takes the views of a batch and gives its loss, and how often it was right
beside how often chance would be. Used by `objectives` and `pretraining`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.models.item_features import ItemFeatures
from recsys.models.item_tower import ItemTower, Projection
from recsys.training import losses


class Batch(NamedTuple):
    """What a step learns from.

    Attributes:
        items: n items, ids hidden.
        first, second: p items each, row by row taken together by someone.
        alike: `[p, p]` bool, symmetric: two pairs share their first or their second item.
        log_q: `[2, p]` log probability of each second, and of each first item among pairs.
        turned: `[r, 4, D_m]` photos by quarter turns, as the image encoder sees them, or None.
        frames: `[c, F, D_m]` frames of clips in their order, as it sees them, or None.
    """

    items: ItemFeatures
    first: ItemFeatures
    second: ItemFeatures
    alike: Tensor
    log_q: Tensor
    turned: Tensor | None = None
    frames: Tensor | None = None


@dataclass(frozen=True)
class Views:
    """A batch as the item tower sees it; all vectors have length 1. M counts content modalities.

    Attributes:
        present: `[n, M]` which modalities the items have.
        standard: for each modality `[n, D_m]`, standardised as the tower reads them.
        single: `[M, n, D]` items of which only one modality shows.
        rest: `[M, n, D]` items of which one modality is hidden.
        part: `[n, D]` items of which a random part shows, in half of them a single modality.
        whole: `[n, D]`.
        first, second: `[p, D]` of the pairs, whole.
        alike, log_q: as of the batch.
        turned: `[r, 4, D]` tokens of turned photos; r may be 0.
        frames: `[c, F, D]` tokens of frames; c may be 0.
        motion: `[c, F - 1]` how much changes from frame to frame.
    """

    present: Tensor
    standard: list[Tensor]
    single: Tensor
    rest: Tensor
    part: Tensor
    whole: Tensor
    first: Tensor
    second: Tensor
    alike: Tensor
    log_q: Tensor
    turned: Tensor
    frames: Tensor
    motion: Tensor


class Outcome(NamedTuple):
    """Loss (a scalar), answers that were right, how many would be by chance, and answers at all."""

    loss: Tensor
    right: float
    chance: float
    answers: int


def views(tower: ItemTower, batch: Batch) -> Views:
    """All views of a batch, in two passes of the fusion."""
    items = batch.items
    present = items.present[:, :-1]
    every, count = torch.ones_like(items.present), present.shape[1]
    one = torch.eye(count, count + 1, dtype=torch.bool, device=present.device).unsqueeze(1)
    keep = torch.cat([one & every, ~one & every, _part(items.present)[None], every[None]])
    seen = functional.normalize(tower.views(items, keep).float(), dim=-1)
    pairs = [seen[0, :0]] * 2
    if len(batch.first):
        pairs = [
            functional.normalize(tower.views(side, torch.ones_like(side.present)[None])[0], dim=-1)
            for side in (batch.first, batch.second)
        ]
    return Views(
        present, _standardised(tower, items), seen[:count], seen[count : 2 * count],
        seen[2 * count], seen[2 * count + 1], pairs[0].float(), pairs[1].float(),
        batch.alike, batch.log_q, *_arranged(tower, batch),
    )  # fmt: skip


class InfoNce(nn.Module):
    """Symmetric InfoNCE with a learned temperature (van den Oord et al., 2018; CLIP, 2021).

    The positive stands in the denominator: the loss is the cross-entropy of a softmax over all keys
    of the batch, never below zero.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        alike: Tensor | None = None,
        log_q: Tensor | None = None,
    ) -> Outcome:
        """Row i of `queries [n, D]` belongs to row i of `keys [n, D]`, both of length 1.

        Args:
            queries, keys: unit vectors.
            alike: `[n, n]` bool, symmetric; keys that are the positive under another row's name.
            log_q: `[2, n]` of the keys, and of the queries as keys; see `losses.corrected`.
        """
        count = len(queries)
        if count < 2:
            return nothing(queries)
        scale = (-self.log_temperature).exp().clamp(max=100.0)
        own = torch.arange(count, device=queries.device)
        mask = None if alike is None else losses.Grouped(alike, own)
        ahead, back = (None, None) if log_q is None else log_q
        loss = losses.softmax(queries * scale, keys, own, ahead, mask)
        loss = (loss + losses.softmax(keys * scale, queries, own, back, mask)) / 2
        with torch.no_grad():
            scores = losses.hide(queries @ keys.T, own, alike)
            right = float((scores.argmax(dim=1) == own).sum())
        return Outcome(loss, right, 1.0, count)


def total(outcomes: Iterator[Outcome]) -> Outcome:
    """The mean of the losses of those that answered; sums of the rest."""
    every = list(outcomes)
    told = [outcome for outcome in every if outcome.answers] or every[:1]
    return Outcome(
        torch.stack([outcome.loss for outcome in told]).mean(),
        sum(outcome.right for outcome in told),
        sum(outcome.chance for outcome in told),
        sum(outcome.answers for outcome in told),
    )


def nothing(like: Tensor) -> Outcome:
    """The outcome of a batch without anything to learn from."""
    return Outcome(like.float().sum() * 0.0, 0.0, 0.0, 0)


def _part(present: Tensor) -> Tensor:
    """`[n, M + 1]` bool: a random part of what is present, in half of the items one modality."""
    chance = torch.rand(present.shape, device=present.device).masked_fill(~present, 2.0)
    rank = chance.argsort(dim=1).argsort(dim=1)
    several = torch.rand(len(present), device=present.device) < 0.5
    size = (present.sum(dim=1) * torch.rand(len(present), device=present.device)).long() * several
    return rank < size.clamp(min=1).unsqueeze(1)


def _arranged(tower: ItemTower, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens of turned photos and of frames by the image projection, and the frames' motion."""
    none = batch.log_q.new_zeros(0, 1, 1)
    if batch.turned is None and batch.frames is None:
        return none, none, none
    projection = tower.projections[tower.names.index("image")]
    assert isinstance(projection, Projection)
    turned, frames = (
        none if values is None
        else projection.tokens(values, torch.ones_like(values[..., 0], dtype=torch.bool))
        for values in (batch.turned, batch.frames)
    )  # fmt: skip
    if batch.frames is None:
        return turned, frames, none
    return turned, frames, projection.standardised(batch.frames).diff(dim=1).norm(dim=-1)


def _standardised(tower: ItemTower, items: ItemFeatures) -> list[Tensor]:
    made = []
    for name, projection in zip(items.names, tower.projections, strict=True):
        assert isinstance(projection, Projection)
        made.append(projection.standardised(items.mean(name)))
    return made

"""What pretraining learns from, and the batches drawn from it. Used by `pretraining`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.models.item_features import ItemFeatures
from recsys.training.contrast import Batch


@dataclass(frozen=True)
class Arranged:
    """Several vectors of one photo or clip, by the image encoder.

    Attributes:
        rows: `[R]` the item of each.
        vectors: `[R, V, D_m]`.
    """

    rows: Tensor
    vectors: Tensor


@dataclass(frozen=True)
class Material:
    """What there is to learn from.

    Attributes:
        items: N items; their ids are not looked at.
        first, second: `[P]` rows of pairs that somebody took one after the other.
        turned: photos by quarter turns, or None where no objective asks for them.
        frames: clips by their frames, or None.
    """

    items: ItemFeatures
    first: Tensor
    second: Tensor
    turned: Arranged | None = None
    frames: Arranged | None = None


class Draw:
    """Draws batches of learned items, and the one of held-out items, by a generator of its own.

    Args:
        material: what there is.
        batch: items, and pairs, photos and clips, of a batch.
        held_out: share of items that no batch has; neither their pairs, photos and clips.
        seed: fixes all.
        device: where batches are.
    """

    def __init__(
        self, material: Material, batch: int, held_out: float, seed: int, device: torch.device
    ) -> None:
        self.device = device
        self._items = material.items.to(device)
        self._random = torch.Generator().manual_seed(seed)
        count = len(material.items)
        order = torch.randperm(count, generator=self._random)
        held = torch.zeros(count, dtype=torch.bool)
        held[order[: max(2, round(count * held_out))]] = True
        self._held, self._learned = order[held[order]], order[~held[order]]
        self._size = batch
        outside = held[material.first] | held[material.second]
        pairs = torch.stack([material.first, material.second])
        self._pairs, self._held_pairs = pairs[:, ~outside], pairs[:, outside]
        counts = torch.bincount(pairs.flatten(), minlength=count).clamp(min=1).double()
        self._log_q = (counts / counts.sum()).log().float()
        self._arranged = (material.turned, material.frames)
        self._is_held = held

    def batch(self) -> Batch:
        """Items and pairs at random, among those that are learned from."""
        size = min(self._size, len(self._learned))
        rows = self._learned[torch.randperm(len(self._learned), generator=self._random)[:size]]
        return self._of(rows, self._some(self._pairs), held=False)

    def held_out(self) -> Batch:
        """At most as many held-out items and pairs as a batch has."""
        return self._of(self._held[: self._size], self._some(self._held_pairs), held=True)

    def _some(self, pairs: Tensor) -> Tensor:
        if not pairs.shape[1]:
            return pairs
        size = min(self._size, pairs.shape[1])
        return pairs[:, torch.randint(pairs.shape[1], (size,), generator=self._random)]

    def _of(self, rows: Tensor, pairs: Tensor, held: bool) -> Batch:
        first, second = pairs
        alike = (first == first.unsqueeze(1)) | (second == second.unsqueeze(1))
        items = self._items
        return Batch(
            items.gather(rows), items.gather(first), items.gather(second), alike.to(self.device),
            torch.stack([self._log_q[second], self._log_q[first]]).to(self.device),
            *(self._shown(arranged, held) for arranged in self._arranged),
        )  # fmt: skip

    def _shown(self, arranged: Arranged | None, held: bool) -> Tensor | None:
        """`[r, V, D_m]` of at most a batch of photos or clips of learned, or of held-out items."""
        if arranged is None:
            return None
        some = (self._is_held[arranged.rows] == held).nonzero().squeeze(1)
        order = torch.randperm(len(some), generator=self._random)[: self._size]
        return arranged.vectors[some[order]].to(self.device)

"""What pretraining learns from, and the batches drawn from it. Used by `pretraining`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

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

    def of(self, places: Tensor) -> Tensor:
        """`[r, V, D_m]` of `places [r]` among the R."""
        return self.vectors[places]


@dataclass(frozen=True)
class ArrangedLive:
    """The same by an encoder in training.

    Attributes:
        rows: `[R]` the item of each.
        of: as of `Arranged`; reads anew, with gradients.
    """

    rows: Tensor
    of: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Live:
    """A modality that an encoder in training reads anew for every batch.

    Attributes:
        name: of the modality.
        network: whose weights learn.
        read: vectors `[n, D_m]` of the items of rows `[n]` that have it, with gradients.
    """

    name: str
    network: nn.Module
    read: Callable[[Tensor], Tensor]

    def renewed(self, items: ItemFeatures, rows: Tensor) -> ItemFeatures:
        """`items`, those of `rows [n]` of the material, with the modality as it reads now."""
        has = items.present[:, items.names.index(self.name)]
        values = items.values[self.name].clone()
        if has.any():
            read = self.read(rows[has.cpu()])
            if values.dim() == 3:
                values[has] = torch.nan
                values[has, 0] = read
            else:
                values[has] = read
        return replace(items, values=items.values | {self.name: values})


@dataclass(frozen=True)
class Material:
    """What there is to learn from.

    Attributes:
        items: N items; their ids are not looked at.
        first, second: `[P]` rows of pairs that somebody took one after the other.
        turned: photos by quarter turns, or None where no objective asks for them.
        frames: clips by their frames, or None.
        live: what encoders in training read; none where all are frozen.
    """

    items: ItemFeatures
    first: Tensor
    second: Tensor
    turned: Arranged | ArrangedLive | None = None
    frames: Arranged | None = None
    live: tuple[Live, ...] = ()


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
        self._live = material.live
        self._is_held = held

    def batch(self) -> Batch:
        """Items and pairs at random, among those that are learned from."""
        size = min(self._size, len(self._learned))
        rows = self._learned[torch.randperm(len(self._learned), generator=self._random)[:size]]
        return self._of(rows, self._some(self._pairs), held=False)

    def tuned(self) -> list[nn.Parameter]:
        """Weights of the encoders that read live."""
        return [weight for live in self._live for weight in live.network.parameters()]

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
        seen = self._seen(rows, first, second)
        return Batch(
            seen[0], seen[1], seen[2], alike.to(self.device),
            torch.stack([self._log_q[second], self._log_q[first]]).to(self.device),
            *(self._shown(arranged, held) for arranged in self._arranged),
        )  # fmt: skip

    def _seen(self, *several: Tensor) -> Sequence[ItemFeatures]:
        """The items of each of `several` rows; an encoder in training reads an item once."""
        if not self._live:
            return [self._items.gather(rows) for rows in several]
        unique, places = torch.unique(torch.cat(several), return_inverse=True)
        items = self._items.gather(unique)
        for live in self._live:
            items = live.renewed(items, unique)
        return [items.gather(part) for part in places.split([len(rows) for rows in several])]

    def _shown(self, arranged: Arranged | ArrangedLive | None, held: bool) -> Tensor | None:
        """`[r, V, D_m]` of at most a batch of photos or clips of learned, or of held-out items."""
        if arranged is None:
            return None
        some = (self._is_held[arranged.rows] == held).nonzero().squeeze(1)
        order = torch.randperm(len(some), generator=self._random)[: self._size]
        return arranged.of(some[order]).to(self.device)

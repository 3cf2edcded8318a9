"""One training batch: windows of histories, their unique items, and what states should foresee."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsys.data.trends import DAY_SECONDS, Trends

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """B windows of at most L events, and P pairs of a state and what it should foresee.

    Attributes:
        users: `[B]` the users' indices in the histories.
        item_rows: `[C]` catalogue rows: items of the windows, then negatives. All are candidates;
            other items are positions in it.
        items: `[B, L]` position of the event's item.
        events, ages: `[B, L]` event codes, and seconds before the window's end.
        event_weights: `[B, L]` float32 of the events.
        mask: `[B, L]` true where there is an event.
        places: `[P]` a state, as its place among the `B * L`.
        targets: `[P]` position of the item to foresee.
        weights: `[P]` of the targets.
        ahead: `[P]` int64, 1 where the target's day is a later one than the state's, else 0.
        log_q: `[C]` log probability that a row is a candidate; None where all items are.
        people: `[B, C]` int64 attributes of the users; None where nothing is known of them.
        moments: `[P]` which of the batch's T days a target belongs to; None without trends.
        popularity, item_ages: `[T, C, H]` and `[T, C]`, what was known of the items on those days.
    """

    users: Tensor
    item_rows: Tensor
    items: Tensor
    events: Tensor
    ages: Tensor
    event_weights: Tensor
    mask: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    ahead: Tensor
    log_q: Tensor | None
    people: Tensor | None = None
    moments: Tensor | None = None
    popularity: Tensor | None = None
    item_ages: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        if device.type == "cpu":
            return self
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)

    def share(self, rank: int, size: int) -> "Batch":
        """The part of number `rank` of `size` processes: every size-th window, all candidates."""
        length = self.mask.shape[1]
        windows = slice(rank, None, size)
        owners = self.places // length
        kept = (owners % size == rank).nonzero().squeeze(1)
        part = replace(
            self,
            users=self.users[windows],
            items=self.items[windows],
            events=self.events[windows],
            ages=self.ages[windows],
            event_weights=self.event_weights[windows],
            mask=self.mask[windows],
            places=(owners // size * length + self.places % length)[kept],
            targets=self.targets[kept],
            weights=self.weights[kept],
            ahead=self.ahead[kept],
            people=None if self.people is None else self.people[windows],
        )
        if self.moments is None or self.popularity is None or self.item_ages is None:
            return part
        used, moments = torch.unique(self.moments[kept], return_inverse=True)
        popularity, ages = self.popularity[used], self.item_ages[used]
        return replace(part, moments=moments, popularity=popularity, item_ages=ages)

    def with_trends(self, trends: Trends, times: Rows) -> "Batch":
        """The same batch with what was known of its items on its targets' days.

        Args:
            trends: of the catalogue.
            times: `[P]` epoch seconds of the targets.
        """
        days, moments = np.unique(times // DAY_SECONDS, return_inverse=True)
        popularity, ages = trends.at(days, self.item_rows.numpy())
        return replace(
            self,
            moments=torch.from_numpy(moments),
            popularity=torch.from_numpy(popularity),
            item_ages=torch.from_numpy(ages),
        )

"""What the lists of one moment know besides the model: the shop, its users, trends of its items.

Called where lists are made, `recommend`, and where something is fitted to them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from recsys.data import people, trends
from recsys.data.people import People
from recsys.models.two_tower import AHEAD, TwoTower
from recsys.serving.categories import ItemCategories
from recsys.serving.newcomers import Newcomers
from recsys.serving.reranking import ItemTerms

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shop:
    """What the lists of one moment know besides the model.

    Attributes:
        eligible: bool `[N]`: available, not blocked, and already there.
        items, times: `[E]` rows and epoch seconds of all events, for popularity.
        created_seconds: `[N]` when items appeared, NaN where unknown.
        checksum: of the catalogue's vocabulary.
        prices: `[N]`, NaN where unknown; None where no rule asks for them.
        newcomers: segments of users without history; None where nothing is known of them.
        users: the table of users; None where there is none.
        categories: of all items; None where no rule asks for them.
    """

    eligible: Mask
    items: npt.NDArray[np.integer]
    times: Rows
    created_seconds: Floats
    checksum: str
    prices: Floats | None = None
    categories: ItemCategories | None = None
    newcomers: Newcomers | None = None
    users: pl.DataFrame | None = None


def people_of(model: TwoTower, shop: Shop) -> People | None:
    """What the model reads of the shop's users; None where that is nothing."""
    columns = model.shape.user_columns
    return people.coded(shop.users, columns) if columns and shop.users is not None else None


@torch.inference_mode()
def item_terms(model: TwoTower, shop: Shop, at_seconds: float) -> ItemTerms:
    """Popularity and freshness of all items at a moment, and the weights that training gave them.

    Args:
        model: that knows which terms there are.
        shop: its events after the moment count nothing.
        at_seconds: the moment, epoch seconds.
    """
    moment = int(at_seconds)
    chosen = model.settings.trends
    known = trends.build(
        shop.items, shop.times, shop.created_seconds, chosen.half_lives_days, chosen.smoothing,
        ends_seconds=moment % trends.DAY_SECONDS,
    )  # fmt: skip
    rows = np.arange(len(shop.created_seconds))
    popularity, ages = known.at(known.days(np.array([moment])), rows)
    device = model.trends.small.device
    values = model.trends.terms(
        torch.from_numpy(popularity[0]).to(device), torch.from_numpy(ages[0]).to(device)
    )
    return ItemTerms(model.trends.names, values.double().cpu().numpy(), learned_weights(model))


@torch.inference_mode()
def learned_weights(model: TwoTower) -> tuple[float, ...]:
    """The weights that training gave the terms of the items."""
    return tuple(model.trends.weights[AHEAD].double().tolist())

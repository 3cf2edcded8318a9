"""Both towers and the temperature between them: what is trained, saved and served."""

import copy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recsys.models import id_embedding
from recsys.models.item_features import ItemFeatures
from recsys.models.item_tower import ItemTower, ItemTowerSettings
from recsys.models.trend_terms import TrendSettings, TrendTerms
from recsys.models.user_tower import UserTower, UserTowerSettings
from recsys.settings import Section
from recsys.user_columns import UserColumn


class ModelSettings(Section):
    """The two towers."""

    width: int = Field(
        default=64, ge=4, le=4096, description="D, the width of item and user vectors"
    )
    similarity: Literal["cosine", "dot"] = Field(
        default="cosine",
        description="unit vectors, or raw ones whose length may speak for popularity",
    )
    temperature: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="what similarities are divided by at the start; learned",
    )
    min_temperature: float = Field(
        default=0.02, gt=0, le=10, description="the learned temperature never falls below this"
    )
    items: ItemTowerSettings = Field(default=ItemTowerSettings(), description="the item tower")
    users: UserTowerSettings = Field(default=UserTowerSettings(), description="the user tower")
    trends: TrendSettings = Field(
        default=TrendSettings(), description="popularity and freshness in the score"
    )


class ModelShape(Section):
    """What the data fixes about a model: with the settings it says which weights there are."""

    modalities: tuple[tuple[str, int], ...] = Field(description="content modalities and their D_m")
    table_rows: int = Field(ge=0, description="ids known to training")
    event_names: tuple[str, ...] = Field(description="event types; code = position + 1, 0 is none")
    user_columns: tuple[UserColumn, ...] = Field(
        default=(), description="attributes of users that the user tower reads"
    )


MAX_TEMPERATURE = 10.0
AHEAD = 1  # row of temperatures and trend weights for what happens on another day


class TwoTower(nn.Module):
    """Item tower, user tower, trend terms and temperature.

    A score is `users . items / temperature + trends`; for cosine both are unit vectors. Inner
    product is the index's metric in both cases.

    In evaluation mode an item's vector is handed over from its content to its id as events arrive:
    of n events, n / (n + `handover`) of it is the tower's vector, the rest what the tower makes of
    the content alone. `handover` is 0, no mixture, until somebody sets it.
    """

    handover: Tensor
    id_events: Tensor

    def __init__(self, settings: ModelSettings, shape: ModelShape) -> None:
        super().__init__()
        self.settings = settings
        self.shape = shape
        width = settings.width
        self.item_tower = ItemTower(settings.items, dict(shape.modalities), shape.table_rows, width)
        columns = [column.size for column in shape.user_columns]
        self.user_tower = UserTower(settings.users, len(shape.event_names) + 1, width, columns)
        self.trends = TrendTerms(settings.trends)
        self.log_temperatures = nn.Parameter(torch.full((2,), settings.temperature).log())
        self.register_buffer("handover", torch.zeros(()))
        self.register_buffer("id_events", torch.zeros(shape.table_rows))

    @property
    def temperatures(self) -> Tensor:
        """`[2]` what similarities are divided by: within a session, and ahead; learned."""
        return self.log_temperatures.exp()

    @property
    def temperature(self) -> Tensor:
        """What similarities are divided by in lists, which are made ahead; a positive number."""
        return self.temperatures[AHEAD]

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Brings the temperatures back into their bounds; the trainer calls it after each step."""
        low, high = torch.tensor([self.settings.min_temperature, MAX_TEMPERATURE]).log().tolist()
        self.log_temperatures.clamp_(low, high)

    def grown(self, table_rows: int) -> "TwoTower":
        """A copy with a larger id table, whose new rows begin as the mean row.

        Raises:
            ValueError: the table would shrink.
        """
        larger = copy.deepcopy(self)
        larger.shape = self.shape.model_copy(update={"table_rows": table_rows})
        table = id_embedding.grown(self.item_tower.id_embedding, table_rows)
        larger.item_tower.id_embedding = table
        more = table_rows - len(self.id_events)
        larger.id_events = functional.pad(self.id_events, (0, more))
        return larger

    def kept(self, rows: list[int]) -> "TwoTower":
        """A copy whose id table holds only these rows, in this order; there may be none."""
        smaller = copy.deepcopy(self)
        smaller.shape = self.shape.model_copy(update={"table_rows": len(rows)})
        table = id_embedding.kept(self.item_tower.id_embedding, rows)
        smaller.item_tower.id_embedding = table
        smaller.id_events = self.id_events[rows]
        return smaller

    @torch.no_grad()
    def learned_from(self, features: ItemFeatures, counts: Tensor) -> None:
        """Remembers how many events, `counts [N]`, the ids of `features` were learned from."""
        rows = features.id_rows().to(self.id_events.device)
        known = rows >= 0
        self.id_events[rows[known]] = counts.to(self.id_events)[known]

    def items(self, features: ItemFeatures) -> Tensor:
        """Item vectors `[n, D]` float32; `features.gather(rows)` first for some of them."""
        vectors = self._finished(self.item_tower(features))
        if self.training or not bool(self.handover > 0):
            return vectors
        content = self._finished(self.item_tower(features.only(features.names)))
        return self.handed_over(features, vectors, content)

    def handed_over(self, features: ItemFeatures, whole: Tensor, content: Tensor) -> Tensor:
        """`[n, D]` of the tower's `whole [n, D]` and what it makes of the `content [n, D]` alone.

        Both as `items` gives them while `handover` is 0; all on one device with `features`.
        """
        rows = features.id_rows()
        mixed = (rows >= 0) & features.present[:, :-1].any(dim=1)
        known = self.id_events.to(rows.device)
        events = known[rows.clamp(min=0)] if len(known) else whole[:, 0]
        share = torch.where(mixed, events / (events + float(self.handover)), 1.0)
        handed = content.lerp(whole, share.unsqueeze(-1))
        cosine = self.settings.similarity == "cosine"
        return functional.normalize(handed, dim=-1) if cosine else handed

    def users(
        self,
        items: Tensor,
        events: Tensor,
        ages: Tensor,
        mask: Tensor,
        weights: Tensor | None = None,
        last: Tensor | None = None,
        people: Tensor | None = None,
    ) -> Tensor:
        """User states `[B, L, D]` float32; see `user_tower` for the arguments."""
        return self._finished(self.user_tower(items, events, ages, mask, weights, last, people))

    def user_vectors(
        self,
        items: Tensor,
        events: Tensor,
        ages: Tensor,
        mask: Tensor,
        weights: Tensor | None = None,
        people: Tensor | None = None,
    ) -> Tensor:
        """The last state of each row, `[B, D]`, from at most the last `max_length` events.

        Raises:
            ValueError: a row has no event, or padding stands before an event.
        """
        lengths = mask.sum(dim=1)
        place = torch.arange(mask.shape[1], device=mask.device)
        if not torch.equal(mask, place < lengths.unsqueeze(1)) or bool((lengths == 0).any()):
            raise ValueError("each history needs an event, and its events stand before its padding")
        longest = min(self.settings.users.max_length, mask.shape[1])
        take = (lengths.unsqueeze(1) - longest).clamp(min=0) + place[:longest]
        kept = place[:longest] < lengths.unsqueeze(1)
        window = items.gather(1, take.unsqueeze(-1).expand(-1, -1, items.shape[-1]))
        told = None if weights is None else weights.gather(1, take)
        last = lengths.clamp(max=longest) - 1
        taken = events.gather(1, take), ages.gather(1, take)
        return self.users(window, *taken, kept, told, last, people).squeeze(1)

    def _finished(self, vectors: Tensor) -> Tensor:
        match self.settings.similarity:
            case "cosine":
                vectors = functional.normalize(vectors.float(), dim=-1)
            case "dot":
                vectors = vectors.float() * self.settings.width**-0.5
        return vectors


def build(
    settings: ModelSettings,
    features: ItemFeatures,
    event_names: tuple[str, ...],
    seed: int,
    user_columns: tuple[UserColumn, ...] = (),
) -> TwoTower:
    """A fresh model for the training catalogue `features`: same seed, same weights.

    Standardises every content modality by `features`; the id table has a row for each known id.
    """
    known = features.id_rows()
    shape = ModelShape(
        modalities=tuple(features.widths.items()),
        table_rows=int(known.max()) + 1 if len(known) else 0,
        event_names=event_names,
        user_columns=user_columns,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TwoTower(settings, shape)
    model.item_tower.standardise(features)
    return model

"""User towers: `(items [B, L, D], events, ages, mask, weights [B, L]) -> states [B, L, D]`.

State l has seen events 0..l only, so that all L positions train at once; a user's vector is the
last state. Histories stand at the front of their row, padding after them. Called by the two towers.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys.models.attention import (
    Block,
    CausalAttention,
    distance_bucket,
    time_bucket,
)
from recsys.models.event_inputs import EventInputs
from recsys.models.user_attributes import UserAttributes
from recsys.settings import Section


class UserTowerSettings(Section):
    """How a history becomes a user vector."""

    kind: Literal["transformer", "gru", "attention", "mean"] = Field(
        default="transformer",
        description="transformer blocks, a GRU, one attention pooling, or a running mean",
    )
    max_length: int = Field(
        default=200, ge=1, le=10_000, description="events of a history that are read"
    )
    blocks: int = Field(default=2, ge=1, le=48, description="transformer blocks, or GRU layers")
    heads: int = Field(default=2, ge=1, le=64, description="attention heads; they divide the width")
    expansion: float = Field(
        default=4.0,
        ge=0.25,
        le=16,
        description="hidden width of the feed-forward, relative to the width",
    )
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="dropout on inputs and after each part of a block"
    )
    attention_bias: bool = Field(
        default=True,
        description="learned attention bias for the time and the events between two events",
    )
    long_term: bool = Field(
        default=True,
        description="kinds transformer and gru: adds the mean of the history so far to each state, "
        "so that lasting tastes need not be learned through attention",
    )
    event_weights: bool = Field(
        default=False,
        description="reads the weights of events, such as ratings, beside their types; for logs "
        "whose weights say more than the event type",
    )
    attributes: bool = Field(
        default=True,
        description="adds what `users.*` tells of a person to each state; columns that are absent "
        "or constant add nothing",
    )
    attribute_columns: tuple[str, ...] = Field(
        default=(), description="of users.*; none named: all of them"
    )
    attribute_dropout: float = Field(
        default=0.2, ge=0, lt=1, description="share of a person's attributes hidden while training"
    )
    request_time: bool = Field(
        default=False,
        description="time biases count from the moment a state is asked (in training the next "
        "event's time, at night the night's moment) instead of from its own last event",
    )
    decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="kind mean: weight of an event relative to the one after it",
    )


class UserTower(nn.Module):
    """One of four kinds behind one contract; see the module's text.

    The GRU is that of Cho et al. (2014), over histories as in GRU4Rec (Hidasi et al., 2016).

    Args:
        settings: of the tower.
        event_codes: number of event codes, the 0 of padding included.
        width: D.
        columns: how many values each of the C known attributes of a person has.
    """

    def __init__(
        self,
        settings: UserTowerSettings,
        event_codes: int,
        width: int,
        columns: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.settings = settings
        self.inputs = EventInputs(
            event_codes, width, settings.max_length, settings.dropout,
            request_time=settings.request_time, event_weights=settings.event_weights,
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        biased = settings.attention_bias
        match settings.kind:
            case "transformer":
                self.blocks = nn.ModuleList(
                    Block(
                        width, settings.heads, settings.expansion, settings.dropout, biased=biased
                    )
                    for _ in range(settings.blocks)
                )
            case "gru":
                between = settings.dropout if settings.blocks > 1 else 0.0
                self.recurrent = nn.GRU(
                    width, width, settings.blocks, batch_first=True, dropout=between
                )
            case "attention":
                self.pooling = CausalAttention(width, settings.heads, biased=biased)
                self.pooling_norm = nn.LayerNorm(width)
            case "mean":
                self.output = near_identity(width)
        if self._adds_mean():
            self.output = near_identity(width)
            self.recent = nn.Parameter(torch.full((width,), 0.2))
        if columns:
            self.attributes = UserAttributes(columns, width, settings.attribute_dropout)

    def forward(
        self,
        items: Tensor,
        events: Tensor,
        ages: Tensor,
        mask: Tensor,
        weights: Tensor | None = None,
        last: Tensor | None = None,
        people: Tensor | None = None,
    ) -> Tensor:
        """States `[B, L, D]`; those of padding mean nothing.

        Args:
            items: `[B, L, D]` vectors of the item tower.
            events: `[B, L]` int64 event codes.
            ages: `[B, L]` int64 seconds before the window's end, falling along a history.
            mask: `[B, L]` bool, true where there is an event; true ones stand first.
            weights: `[B, L]` float32 event weights; only `event_weights` reads them.
            last: `[B]` a place of each row; only its state is computed, `[B, 1, D]`. None for all.
            people: `[B, C]` int64 codes of attributes, -1 unknown; None where nothing is known.

        Raises:
            ValueError: `event_weights` is set and there are no weights.
        """
        if not self.settings.event_weights:
            weights = None
        elif weights is None:
            raise ValueError("this tower reads event weights; pass them")
        asked = request_ages(ages, mask) if self.settings.request_time else None
        inputs = self.inputs(items, events, ages, asked, weights)
        states: Tensor
        match self.settings.kind:
            case "transformer":
                states = inputs
                times, distances = self._biases(ages, asked)
                for block in self.blocks[:-1] if last is not None else self.blocks:
                    states = block(states, times, distances)
                if last is not None:
                    final = self.blocks[-1]
                    assert isinstance(final, Block)
                    states = final.last(states, last, times, distances)
            case "gru":
                states, _ = self.recurrent(inputs)
            case "attention":
                pooled = self.pooling(self.pooling_norm(inputs), *self._biases(ages, asked))
                states = inputs + pooled
            case "mean":
                states = self.output(running_mean(inputs, self.settings.decay))
        if last is not None and states.shape[1] != 1:
            states = _at(states, last)
        if self._adds_mean():
            mean = running_mean(inputs, 1.0, last)
            states = self.recent * states + self.output(mean)
        if people is not None and hasattr(self, "attributes"):
            states = states + self.attributes(people).unsqueeze(1)
        vectors: Tensor = self.norm(states)
        return vectors

    def _adds_mean(self) -> bool:
        return self.settings.long_term and self.settings.kind in ("transformer", "gru")

    def _biases(self, ages: Tensor, asked: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if not self.settings.attention_bias:
            return None, None
        asked = ages if asked is None else asked
        times = time_bucket(ages.unsqueeze(1) - asked.unsqueeze(2))
        return times, distance_bucket(ages.shape[1], ages.device)


def _at(states: Tensor, last: Tensor) -> Tensor:
    """`[B, 1, D]`: the state of one place of each row."""
    return states[torch.arange(len(last), device=last.device), last].unsqueeze(1)


def near_identity(width: int) -> nn.Linear:
    """A square linear layer that begins as the identity."""
    layer = nn.Linear(width, width)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def request_ages(ages: Tensor, mask: Tensor) -> Tensor:
    """`[B, L]` age at which each state is asked: the next event's, and 0, the end, for the last."""
    following = torch.zeros_like(ages)
    following[:, :-1] = ages[:, 1:] * mask[:, 1:]
    return following


def running_mean(values: Tensor, decay: float, last: Tensor | None = None) -> Tensor:
    """`[B, L, D]`: entry l is the mean of `values` 0..l, event j weighted by decay^(l - j).

    Only entry `last [B]` of each row where that is asked for, `[B, 1, D]`.
    """
    place = torch.arange(values.shape[1], device=values.device, dtype=values.dtype)
    distance = (place.unsqueeze(1) - place).clamp(min=0)
    weights = (torch.ones_like(distance) if decay == 1.0 else decay**distance).tril()
    weights = weights / weights.sum(dim=1, keepdim=True)
    return (weights if last is None else weights[last].unsqueeze(1)) @ values

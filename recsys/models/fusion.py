"""Modality tokens of an item to one vector: attention, concatenation or sum.

All three take `(tokens [n, M, D], present [n, M] bool)` and give `[n, D]`. The item tower has put a
learned vector in the place of every absent modality, so what an absent one held cannot matter.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recsys.settings import Section


class FusionSettings(Section):
    """How the modalities of an item become one vector."""

    kind: Literal["attention", "concat", "sum"] = Field(
        default="attention",
        description="attention over modalities, concatenation + MLP, or a plain sum",
    )
    heads: int = Field(
        default=4, ge=1, le=64, description="attention heads over modalities; they divide the width"
    )
    expansion: float = Field(
        default=1.0,
        ge=0.25,
        le=8,
        description="hidden width of the fusion's MLP, relative to the width",
    )


def build(settings: FusionSettings, modalities: int, width: int) -> nn.Module:
    """The fusion of `settings` for M `modalities` (id included) of `width` D.

    Raises:
        ValueError: the heads do not divide the width.
    """
    hidden = max(1, round(width * settings.expansion))
    match settings.kind:
        case "attention":
            return AttentionFusion(width, hidden, settings.heads)
        case "concat":
            return ConcatFusion(modalities, width, hidden)
        case "sum":
            return SumFusion()


class AttentionFusion(nn.Module):
    """Gated pooling by one learned query a head, then a residual MLP.

    Head h weighs the present modalities by softmax(query_h . key(token)) and adds up its slice of
    the gated values (attention pooling as in Ilse, Tomczak and Welling, 2018). Values start as the
    identity and gates at one: before training it is the mean of the present tokens.
    """

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, heads)
        self.query = nn.Parameter(torch.zeros(heads, width // heads))
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        nn.init.eye_(self.value.weight)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)
        nn.init.normal_(self.query, std=0.02)

    def weights(self, tokens: Tensor, present: Tensor) -> Tensor:
        """How much each head listens to each modality: `[n, M, H]`, summing to 1 over M.

        An item with no modality at all listens to the learned absent vectors.
        """
        keys = self.key(tokens).unflatten(-1, (self.heads, -1))
        scores = (keys * self.query).sum(-1) * self.query.shape[1] ** -0.5
        silent = ~present & present.any(dim=1, keepdim=True)
        weights: Tensor = (
            scores.float().masked_fill(silent.unsqueeze(-1), -torch.inf).softmax(dim=1)
        )
        return weights

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """`[n, M, D]` and `[n, M]` to `[n, D]`."""
        gates = 2 * torch.sigmoid(self.gate(tokens))
        mix = (self.weights(tokens, present) * gates).unsqueeze(-1)
        values = self.value(tokens).unflatten(-1, (self.heads, -1))
        pooled: Tensor = (mix * values).sum(dim=1).flatten(1)
        refined: Tensor = self.contract(functional.gelu(self.expand(self.norm(pooled))))
        return pooled + refined


class ConcatFusion(nn.Module):
    """All tokens side by side, through an MLP with one hidden layer."""

    def __init__(self, modalities: int, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(modalities * width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        """`[n, M, D]` to `[n, D]`; absent modalities stand there as their learned vectors."""
        fused: Tensor = self.contract(functional.gelu(self.expand(tokens.flatten(1))))
        return fused


class SumFusion(nn.Module):
    """The sum of the tokens, over the square root of M."""

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        """`[n, M, D]` to `[n, D]`; absent modalities count as their learned vectors."""
        fused: Tensor = tokens.sum(dim=1) * tokens.shape[1] ** -0.5
        return fused

"""Modality tokens of an item to one vector: five kinds of fusion, four scorers of attention.

All take `(tokens [n, M, D], present [n, M] bool)` and give `[n, D]`. The item tower has put a
learned vector in the place of every absent modality, so what an absent one held cannot matter;
sum and concat read that vector, the others do not look at absent modalities at all.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recsys.models.modality_attention import AttentionFusion, DeepFusion, Scorer, unread
from recsys.settings import Section


class FusionSettings(Section):
    """How the modalities of an item become one vector."""

    kind: Literal["attention", "concat", "sum", "deep", "late"] = Field(
        default="attention",
        description="attention over modalities; concatenation + MLP; a plain sum; deep: "
        "transformer blocks over the modalities, then attention; late: the scores of single "
        "modalities are added",
    )
    scorer: Scorer = Field(
        default="scaled_dot_product",
        description="kinds attention and deep: how a modality's weight is scored",
    )
    heads: int = Field(
        default=4, ge=1, le=64, description="attention heads over modalities; they divide the width"
    )
    blocks: int = Field(default=1, ge=1, le=8, description="kind deep: transformer blocks")
    expansion: float = Field(
        default=1.0,
        ge=0.25,
        le=8,
        description="hidden width of the fusion's MLP, relative to the width",
    )


def build(settings: FusionSettings, modalities: int, width: int) -> nn.Module:
    """The fusion of `settings` for M `modalities` (id included) of `width` D.

    Raises:
        ValueError: the heads do not divide the width, or it is too narrow for kind late.
    """
    hidden = max(1, round(width * settings.expansion))
    match settings.kind:
        case "attention":
            return AttentionFusion(width, hidden, settings.heads, settings.scorer)
        case "deep":
            pooling = AttentionFusion(width, hidden, settings.heads, settings.scorer)
            return DeepFusion(pooling, width, hidden, settings.heads, settings.blocks)
        case "concat":
            return ConcatFusion(modalities, width, hidden)
        case "sum":
            return SumFusion()
        case "late":
            return LateFusion(modalities, width)


def modality_weights(fusion: nn.Module, tokens: Tensor, present: Tensor) -> Tensor | None:
    """How much each modality counts in each item: `[n, M]`, at least 0, each row sums to 1.

    The mean over attention heads; for kind late the share of the vector's squared length. None for
    concat and sum, which do not weigh.
    """
    if isinstance(fusion, AttentionFusion | DeepFusion | LateFusion):
        return fusion.weights(tokens, present).mean(dim=-1)
    return None


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


class LateFusion(nn.Module):
    """A slice of the vector for each modality: the inner product adds up scores of modalities.

    user . item = sum over present m of sqrt(w_m) * user_m . unit(P_m t_m), where w is a softmax of
    learned logits over what is present and P_m projects a token to its slice. The item's vector is
    the concatenation of sqrt(w_m) * unit(P_m t_m), of length 1, and any index serves it.
    """

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        if width < modalities:
            raise ValueError(f"late fusion of {modalities} modalities needs a width of as many")
        sizes = [width // modalities + (m < width % modalities) for m in range(modalities)]
        self.slices = nn.ModuleList(nn.Linear(width, size, bias=False) for size in sizes)
        self.logits = nn.Parameter(torch.zeros(modalities))

    def weights(self, tokens: Tensor, present: Tensor) -> Tensor:
        """`[n, M, 1]` weights w, summing to 1 over M."""
        return self._log_weights(present).exp().unsqueeze(-1).expand(len(tokens), -1, 1)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """`[n, M, D]` and `[n, M]` to `[n, D]`."""
        # exp of half the logarithm: a square root would have no gradient at zero
        scales = (self._log_weights(present) / 2).exp().unsqueeze(-1).unbind(dim=1)
        parts = [
            scale * functional.normalize(project(token).float(), dim=-1)
            for scale, project, token in zip(scales, self.slices, tokens.unbind(dim=1), strict=True)
        ]
        return torch.cat(parts, dim=1)

    def _log_weights(self, present: Tensor) -> Tensor:
        return self.logits.float().masked_fill(unread(present), -torch.inf).log_softmax(dim=1)

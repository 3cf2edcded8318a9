"""Attention over an item's modality tokens, for the fusion kinds attention and deep."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Scorer = Literal["scaled_dot_product", "linear", "bilinear", "tanh"]


def unread(present: Tensor) -> Tensor:
    """`[n, M]` modalities not to read; an item with none at all reads its absent vectors."""
    return ~present & present.any(dim=1, keepdim=True)


class AttentionFusion(nn.Module):
    """Gated pooling by learned weights a head, then a residual MLP.

    Head h weighs the present modalities by a softmax of their scores and adds up its slice of the
    gated values (attention pooling as in Ilse, Tomczak and Welling, 2018). Values start as the
    identity, gates at one and scores near zero: before training it is the mean of the present
    tokens. With t a token, q a learned query, and _h the slice of a head, its score is

        scaled_dot_product  q_h . (K t)_h / sqrt(D / H)     (Vaswani et al., 2017)
        linear              q_h . t
        bilinear            c_h . (K t)_h / sqrt(D / H)     c: mean of the item's present tokens
                                                            (general score of Luong et al., 2015)
        tanh                q_h . tanh(K t + b)_h           (additive; Bahdanau et al., 2015)

    Only bilinear weighs a modality by what the item's other modalities hold.
    """

    def __init__(self, width: int, hidden: int, heads: int, scorer: Scorer) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.scorer = scorer
        if scorer != "linear":
            self.key = nn.Linear(width, width, bias=scorer == "tanh")
        self.value = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, heads)
        if scorer != "bilinear":
            slice_width = width if scorer == "linear" else width // heads
            self.query = nn.Parameter(torch.zeros(heads, slice_width))
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        nn.init.eye_(self.value.weight)
        for weight in (*self.gate.parameters(), *self.contract.parameters()):
            nn.init.zeros_(weight)
        nn.init.normal_(self.key.weight if scorer == "bilinear" else self.query, std=0.02)

    def scores(self, tokens: Tensor, present: Tensor) -> Tensor:
        """`[n, M, H]`, the logits of the weights; see the class's text."""
        if self.scorer == "linear":
            return tokens @ self.query.T
        keys = self._by_head(self.key(tokens))
        match self.scorer:
            case "tanh":
                return (keys.tanh() * self.query).sum(-1)
            case "bilinear":
                query = self._by_head(_mean_read(tokens, present))
            case "scaled_dot_product":
                query = self.query
        scores: Tensor = (keys * query).sum(-1) * keys.shape[-1] ** -0.5
        return scores

    def weights(self, tokens: Tensor, present: Tensor) -> Tensor:
        """How much each head listens to each modality: `[n, M, H]`, summing to 1 over M.

        An item with no modality at all listens to the learned absent vectors.
        """
        scores = self.scores(tokens, present).float()
        weights: Tensor = scores.masked_fill(unread(present).unsqueeze(-1), -torch.inf).softmax(1)
        return weights

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """`[n, M, D]` and `[n, M]` to `[n, D]`."""
        gates = 2 * torch.sigmoid(self.gate(tokens))
        mix = (self.weights(tokens, present) * gates).unsqueeze(-1)
        values = self._by_head(self.value(tokens))
        pooled: Tensor = (mix * values).sum(dim=1).flatten(1)
        refined: Tensor = self.contract(functional.gelu(self.expand(self.norm(pooled))))
        return pooled + refined

    def _by_head(self, values: Tensor) -> Tensor:
        """`[n, M, D]` to `[n, M, H, D / H]`."""
        return values.view(*values.shape[:-1], self.heads, -1)


def _mean_read(tokens: Tensor, present: Tensor) -> Tensor:
    """`[n, 1, D]` mean of each item's tokens that are read."""
    seen = (~unread(present)).unsqueeze(-1)
    return torch.where(seen, tokens, 0).sum(dim=1, keepdim=True) / seen.sum(dim=1, keepdim=True)


class DeepFusion(nn.Module):
    """Transformer blocks over the present modalities, which read each other, then `pooling`."""

    def __init__(
        self, pooling: AttentionFusion, width: int, hidden: int, heads: int, blocks: int
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, hidden, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(blocks)
        )  # fmt: skip
        self.pooling = pooling

    def weights(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Weights `[n, M, H]` of the tokens in the pooling, after they have read each other."""
        return self.pooling.weights(self._read(tokens, present), present)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """`[n, M, D]` and `[n, M]` to `[n, D]`."""
        fused: Tensor = self.pooling(self._read(tokens, present), present)
        return fused

    def _read(self, tokens: Tensor, present: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, src_key_padding_mask=unread(present))
        return tokens

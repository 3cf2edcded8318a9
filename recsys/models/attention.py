"""Causal self-attention over a user's events, with learned biases for time and distance.

The building block of the user towers. The biases follow HSTU (Zhai et al., 2024): one
learned number a head for each logarithmic bucket of the time between two events, and one for each
distance in events.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.models.dropout import Dropout

TIME_BUCKETS = 34  # 0 s, then powers of two up to 2^32 s
NEAR = 32  # distances below this have a bucket each, farther ones share logarithmic ones
DISTANCE_BUCKETS = NEAR + 17


def time_bucket(seconds: Tensor) -> Tensor:
    """Logarithmic bucket of a time difference, floor(log2(s + 1)); negative ones count as 0 s."""
    whole = seconds.clamp(min=0).float()  # in place from here: there is one for each two events
    return whole.add_(1).log2_().clamp_(max=TIME_BUCKETS - 1).long()


def distance_bucket(length: int, device: torch.device) -> Tensor:
    """`[L, L]` bucket of i - j events; the diagonal and everything after it is 0."""
    place = torch.arange(length, device=device)
    distance = (place.unsqueeze(1) - place).clamp(min=0)
    far = NEAR + torch.log2(distance.clamp(min=NEAR).float() / NEAR).floor().long()
    return torch.where(distance < NEAR, distance, far.clamp(max=DISTANCE_BUCKETS - 1))


class _Lookup(torch.autograd.Function):
    """`table[H, K]` at `index [...]` to `[H, ...]`; counts gradients by bucket, fast on the CPU."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.buckets = table.shape[1]
        return table.index_select(1, index.flatten()).view(-1, *index.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        flat = index.flatten()
        rows = [
            torch.bincount(flat, weights=head.flatten().float(), minlength=ctx.buckets)
            for head in grads[0]
        ]
        return torch.stack(rows).to(grads[0].dtype), None


class AttentionBias(nn.Module):
    """What is added to attention scores before the softmax: time and distance, `[H, B, L, L]`."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.time = nn.Parameter(torch.zeros(heads, TIME_BUCKETS))
        self.distance = nn.Parameter(torch.zeros(heads, DISTANCE_BUCKETS))

    def forward(self, times: Tensor, distances: Tensor, hidden: Tensor) -> Tensor:
        """Buckets `[B, L, L]` and `[1, L, L]` to `[H, B, L, L]`; of one place, all `[B, 1, L]`.

        What is `hidden`, bool and shaped as the distances, becomes -inf.
        """
        by_time: Tensor = _Lookup.apply(self.time, times)  # type: ignore[no-untyped-call]
        by_distance: Tensor = _Lookup.apply(self.distance, distances)  # type: ignore[no-untyped-call]
        return by_time + by_distance.masked_fill(hidden, -torch.inf)


def attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k / sqrt(d) + bias) v of `[H, B, L, d]`.

    `bias` is `[H, B, L, L]` and may be overwritten, or `[L, L]`, of all.

    On a CPU by products of whole matrices: torch's fused attention multiplies small blocks by MKL,
    which takes three times as long, forward and backward.
    """
    bias = bias.to(query.dtype)
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    products = query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2)
    scale = query.shape[-1] ** -0.5
    if bias.dim() == 2:
        scores = torch.baddbmm(bias, *products, alpha=scale)
    else:
        scores = bias.flatten(0, 1).baddbmm_(*products, alpha=scale)
    return torch.bmm(torch.softmax(scores, dim=-1), value.flatten(0, 1)).view_as(query)


class CausalAttention(nn.Module):
    """Multi-head self-attention in which state l reads events 0..l, `[B, L, D]` to `[B, L, D]`."""

    def __init__(self, width: int, heads: int, *, biased: bool) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.bias = AttentionBias(heads) if biased else None

    def forward(self, states: Tensor, times: Tensor | None, distances: Tensor | None) -> Tensor:
        """`times` and `distances` are the bias's buckets; neither is needed without a bias."""
        query, key, value = self._heads(self.project(states))
        length = states.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=states.device).triu(1)
        if self.bias is None or times is None or distances is None:
            bias = query.new_zeros(length, length).masked_fill(future, -torch.inf)
        else:
            bias = self.bias(times, distances.unsqueeze(0), future.unsqueeze(0))
        return self._joined(attended(query, key, value, bias))

    def last(
        self, states: Tensor, last: Tensor, times: Tensor | None, distances: Tensor | None
    ) -> Tensor:
        """What `forward` gives at place `last [B]` of each row, `[B, 1, D]`, and nothing else."""
        width = states.shape[-1]
        rows = torch.arange(len(last), device=last.device)
        asked = states[rows, last].unsqueeze(1)
        (query,) = self._heads(functional.linear(asked, self.project.weight[:width]))
        key, value = self._heads(functional.linear(states, self.project.weight[width:]))
        place = torch.arange(states.shape[1], device=states.device)
        future = (place > last.unsqueeze(1)).unsqueeze(1)
        if self.bias is None or times is None or distances is None:
            bias = query.new_zeros(self.heads, *future.shape).masked_fill(future, -torch.inf)
        else:
            bias = self.bias(times[rows, last].unsqueeze(1), distances[last].unsqueeze(1), future)
        return self._joined(attended(query, key, value, bias))

    def _heads(self, projected: Tensor) -> Tensor:
        """`[B, L, n D]` to `[n, H, B, L, d]`."""
        width = self.output.in_features
        split = torch.unflatten(projected, -1, (-1, self.heads, width // self.heads))
        return split.permute(2, 3, 0, 1, 4)

    def _joined(self, mixed: Tensor) -> Tensor:
        """`[H, B, L, d]` to `[B, L, D]`."""
        joined: Tensor = self.output(mixed.permute(1, 2, 0, 3).flatten(2))
        return joined


class Block(nn.Module):
    """A pre-norm transformer layer with SwiGLU and no additive biases (as in eSASRec, 2025)."""

    def __init__(
        self, width: int, heads: int, expansion: float, dropout: float, *, biased: bool
    ) -> None:
        super().__init__()
        hidden = max(1, round(width * expansion))
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, biased=biased)
        self.forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * hidden, bias=False)
        self.contract = nn.Linear(hidden, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, times: Tensor | None, distances: Tensor | None) -> Tensor:
        """`[B, L, D]` to `[B, L, D]`."""
        attended = self.attention(self.attention_norm(states), times, distances)
        return self._fed(states + self.dropout(attended))

    def last(
        self, states: Tensor, last: Tensor, times: Tensor | None, distances: Tensor | None
    ) -> Tensor:
        """What `forward` gives at place `last [B]` of each row: `[B, 1, D]`."""
        attended = self.attention.last(self.attention_norm(states), last, times, distances)
        rows = torch.arange(len(last), device=last.device)
        return self._fed(states[rows, last].unsqueeze(1) + self.dropout(attended))

    def _fed(self, states: Tensor) -> Tensor:
        gate, content = self.expand(self.forward_norm(states)).chunk(2, dim=-1)
        fed: Tensor = self.dropout(self.contract(functional.silu(gate) * content))
        return states + fed

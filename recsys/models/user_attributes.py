"""What is known of a person besides the history: age group, region, membership.

Called by `user_tower`, which adds it to every state, so that short histories lean on it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class UserAttributes(nn.Module):
    """Codes `[B, C]` to vectors `[B, D]`: the sum of one vector for each known value.

    All vectors begin at zero, where nothing is known of anybody.

    Args:
        values: how many values each of the C columns has.
        width: D.
        dropout: share of values that are hidden while training, so that states do without.
    """

    starts: Tensor

    def __init__(self, values: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        starts = torch.tensor([0, *values]).cumsum(0)
        self.register_buffer("starts", starts[:-1], persistent=False)
        self.table = nn.Parameter(torch.zeros(int(starts[-1]), width))
        self.dropout = dropout

    def forward(self, codes: Tensor) -> Tensor:
        """`[B, D]`; -1 in `codes [B, C]` int64 is an unknown value and adds nothing."""
        known = codes >= 0
        if self.training:
            known = known & (torch.rand(codes.shape, device=codes.device) >= self.dropout)
        # embedding, not indexing: its gradient is the same in every run
        vectors = functional.embedding(torch.where(known, codes + self.starts, 0), self.table)
        told: Tensor = (vectors * known.unsqueeze(-1)).sum(dim=1)
        return told

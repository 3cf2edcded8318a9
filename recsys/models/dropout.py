"""Dropout that draws eight elements at a time. Used by both towers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 256  # of a random byte


class Dropout(nn.Module):
    """Zeroes elements at random and scales the others up, so that the mean stays.

    On a CPU torch draws a double for each element, which takes ten times as long as what becomes
    of it; here a byte decides, and the rate is the nearest multiple of 1/256. Both draw from
    torch's own generator, whose state a checkpoint holds.

    Args:
        rate: share of the elements that are zeroed, below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        """Of any shape; unchanged in evaluation mode."""
        if not self.training or not self.rate:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.rate)
        zeroed = min(LEVELS - 1, max(1, round(self.rate * LEVELS)))
        draws = torch.empty(-(-values.numel() // 8), dtype=torch.int64)
        draws.random_(torch.iinfo(torch.int64).min, None)  # all 64 bits
        chances = draws.view(torch.uint8)[: values.numel()].view(values.shape)
        kept = chances.ge(zeroed).to(values.dtype)
        return values * kept.mul_(LEVELS / (LEVELS - zeroed))

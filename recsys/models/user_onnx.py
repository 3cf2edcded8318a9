"""The user tower as an ONNX graph: a history in, its user vector out, without torch to serve it."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from recsys.models.two_tower import TwoTower

NAMES = ("items", "events", "ages", "mask", "weights")
OPSET = 18


class LastState(nn.Module):
    """The user vector `[B, D]` of histories whose padding stands behind their events."""

    def __init__(self, model: TwoTower) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, items: Tensor, events: Tensor, ages: Tensor, mask: Tensor, weights: Tensor
    ) -> Tensor:
        """Arguments as of `TwoTower.users`; each row has an event, at most `max_length` of them."""
        told = weights if self.model.settings.users.event_weights else None
        states = self.model.users(items, events, ages, mask, told)
        last = (mask.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
        return states.gather(1, last).squeeze(1)


def export(model: TwoTower, path: Path) -> None:
    """Writes the user tower of a model in evaluation mode; batch and length stay free.

    Inputs are `items [B, L, D]` float32, `events [B, L]` int64 codes, `ages [B, L]` int64 seconds,
    `mask [B, L]` bool and, where the tower reads them, `weights [B, L]` float32; the output is
    `user [B, D]` float32.

    Raises:
        ImportError: onnx is not installed.
    """
    longest = min(3, model.settings.users.max_length)
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(2, longest, model.settings.width, generator=generator)
    ages = torch.arange(longest, 0, -1).mul(3600).repeat(2, 1)
    mask = torch.ones(2, longest, dtype=torch.bool)
    inputs = (items, torch.ones_like(ages), ages, mask, torch.ones(2, longest))
    axes = {name: {0: "batch", 1: "length"} for name in NAMES} | {"user": {0: "batch"}}
    with warnings.catch_warnings():  # the tracer's, about sizes that stay free all the same
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LastState(model).eval(), inputs, str(path), input_names=list(NAMES),
            output_names=["user"], dynamic_axes=axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip

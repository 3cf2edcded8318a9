"""The user tower as an ONNX graph: a history in, its user vector out, without torch to serve it."""

import importlib
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from recsys.models.two_tower import TwoTower

NAMES = ("items", "events", "ages", "mask", "weights", "people")
OPSET = 18


class LastState(nn.Module):
    """The user vector `[B, D]` of histories whose padding stands behind their events."""

    def __init__(self, model: TwoTower) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        items: Tensor,
        events: Tensor,
        ages: Tensor,
        mask: Tensor,
        weights: Tensor,
        people: Tensor | None = None,
    ) -> Tensor:
        """Arguments as of `TwoTower.users`; each row has an event, at most `max_length` of them."""
        told = weights if self.model.settings.users.event_weights else None
        states = self.model.users(items, events, ages, mask, told, people=people)
        last = (mask.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
        return states.gather(1, last).squeeze(1)


def export(model: TwoTower, path: Path) -> None:
    """Writes the user tower of a model in evaluation mode; batch and length stay free.

    Inputs are `items [B, L, D]` float32, `events [B, L]` int64 codes, `ages [B, L]` int64 seconds,
    `mask [B, L]` bool and, where the tower reads them, `weights [B, L]` float32 and `people [B, C]`
    int64, codes of the user columns in `model.json`, -1 unknown; the output is `user [B, D]`
    float32.

    Raises:
        ImportError: onnx is not installed.
    """
    importlib.import_module("onnx")  # torch would name no module that is missing
    longest = min(3, model.settings.users.max_length)
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(2, longest, model.settings.width, generator=generator)
    ages = torch.arange(longest, 0, -1).mul(3600).repeat(2, 1)
    mask = torch.ones(2, longest, dtype=torch.bool)
    inputs = [items, torch.ones_like(ages), ages, mask, torch.ones(2, longest)]
    columns = len(model.shape.user_columns)
    inputs += [torch.zeros(2, columns, dtype=torch.int64)] if columns else []
    axes = {name: {0: "batch", 1: "length"} for name in NAMES[:5]}
    axes |= {"people": {0: "batch"}, "user": {0: "batch"}}
    with warnings.catch_warnings():  # the tracer's, about sizes that stay free all the same
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LastState(model).eval(), tuple(inputs), str(path),
            input_names=list(NAMES[: len(inputs)]), output_names=["user"], dynamic_axes=axes,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip

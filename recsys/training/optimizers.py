"""Optimisers and learning rates: AdamW for dense weights, row-wise Adagrad for the id table.

Called by the trainer. The schedule is a function of the step: resuming needs no state of it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, overload

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys.models.two_tower import TwoTower
from recsys.settings import Section

Decay = Literal["constant", "cosine", "plateau"]
DROP = 0.2  # of the learning rates, on a plateau


class OptimizerSettings(Section):
    """How weights move."""

    learning_rate: float = Field(
        default=2e-3, gt=0, le=10, description="AdamW's peak learning rate, for all dense weights"
    )
    weight_decay: float = Field(
        default=0.01, ge=0, le=10, description="AdamW's decoupled decay of weight matrices"
    )
    table: Literal["rowwise_adagrad", "sparse_adam"] = Field(
        default="rowwise_adagrad",
        description="optimiser of the id table; Adagrad keeps one number a row, Adam two a weight",
    )
    table_learning_rate: float = Field(
        default=0.0125, gt=0, le=10, description="peak learning rate of the id table"
    )
    clip_norm: float = Field(
        default=1.0, gt=0, description="largest norm of the gradient of all weights together"
    )
    warmup_steps: int = Field(
        default=100,
        ge=0,
        description="steps over which learning rates rise from zero, in training an epoch at most",
    )
    decay: Decay = Field(
        default="plateau",
        description="after warm-up: constant; a cosine to a tenth at the end; or a fifth, from the "
        "best weights on, once validation has stopped to rise",
    )


class RowWiseAdagrad(torch.optim.Optimizer):
    """Adagrad with one accumulator a row, for sparse gradients of embedding tables.

    sum[r] += mean(g[r]^2);  w[r] -= learning_rate * g[r] / (sqrt(sum[r]) + eps). The rule of
    fbgemm's `EXACT_ROWWISE_ADAGRAD` (Duchi et al., 2011, by rows); torchrec's own class takes dense
    gradients only. Rows outside the gradient are not touched.

    Args:
        parameters: tables `[N, D]` whose gradients are sparse in their rows.
        lr: learning rate.
        eps: added to the denominator.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, eps: float = 1e-8) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps})
        for group in self.param_groups:
            for table in group["params"]:
                self.state[table]["sum"] = torch.zeros(len(table), device=table.device)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Applies the gradients; a closure is not supported."""
        if closure is not None:
            raise ValueError("a closure is not supported")
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                gradient = table.grad.coalesce()
                rows, values = gradient.indices()[0], gradient.values()
                sums = self.state[table]["sum"]
                total = sums[rows] + values.square().mean(dim=1)
                sums[rows] = total
                scale = (group["lr"] / (total.sqrt() + group["eps"])).unsqueeze(1)
                table[rows] = table[rows] - scale * values
        return None


def build(model: TwoTower, settings: OptimizerSettings) -> list[torch.optim.Optimizer]:
    """AdamW over all dense weights (only matrices decay), then the id table's optimiser."""
    table = model.item_tower.id_embedding.table.weight
    adam = dense((weight for weight in model.parameters() if weight is not table), settings)
    match settings.table:
        case "rowwise_adagrad":
            return [adam, RowWiseAdagrad([table], lr=settings.table_learning_rate)]
        case "sparse_adam":
            return [adam, torch.optim.SparseAdam([table], lr=settings.table_learning_rate)]


def dense(weights: Iterable[Tensor], settings: OptimizerSettings) -> torch.optim.Optimizer:
    """AdamW over `weights`, in their order; only matrices decay."""
    every = list(weights)
    groups = [
        {"params": [w for w in every if w.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in every if w.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


@dataclass(frozen=True)
class Schedule:
    """How learning rates rise and fall over a run's steps."""

    warmup_steps: int
    total_steps: int
    decay: Decay

    def factor(self, step: int, drops: int) -> float:
        """What peak rates are multiplied by at `step`, counted from 0, after some `drops`."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        match self.decay:
            case "constant":
                return warm
            case "plateau":
                return warm * DROP**drops
            case "cosine":
                span = max(1, self.total_steps - self.warmup_steps)
                done = min(1.0, max(0, step - self.warmup_steps) / span)
                return warm * (0.55 + 0.45 * math.cos(math.pi * done))


def set_rates(
    optimizers: list[torch.optim.Optimizer], settings: OptimizerSettings, scale: float
) -> None:
    """Sets every learning rate to its peak times `scale`."""
    peaks = (settings.learning_rate, settings.table_learning_rate)
    for optimizer, peak in zip(optimizers, peaks, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = peak * scale


def gradient_norm(model: nn.Module) -> Tensor:
    """The norm of all gradients together, sparse ones included; sparse ones become coalesced."""
    squares = []
    for weight in model.parameters():
        if weight.grad is None:
            continue
        if weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()
        values = weight.grad.values() if weight.grad.is_sparse else weight.grad
        squares.append(torch.linalg.vector_norm(values.float()))
    norm: Tensor = torch.linalg.vector_norm(torch.stack(squares))
    return norm


def scale_gradients(model: nn.Module, scale: float) -> None:
    """Multiplies every gradient by `scale`."""
    for weight in model.parameters():
        if weight.grad is not None:
            (weight.grad.values() if weight.grad.is_sparse else weight.grad).mul_(scale)

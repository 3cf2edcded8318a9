"""One training step in its parts: loss of a batch, gradients, the check before weights move.

Called by the trainer for each batch.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from recsys.errors import InputFault
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.training import losses, optimizers
from recsys.training.batch import Batch
from recsys.training.losses import Grouped
from recsys.training.profiling import part


def batch_loss(model: TwoTower, features: ItemFeatures, batch: Batch, mask_history: bool) -> Tensor:
    """The loss of one batch: items once, then states, then the softmax over the batch's items."""
    with part("items"):
        vectors = model.items(features.gather(batch.item_rows))
    return loss_of_states(model, vectors, batch, mask_history)


def loss_of_states(model: TwoTower, vectors: Tensor, batch: Batch, mask_history: bool) -> Tensor:
    """The loss of a batch whose item vectors `[C, D]` are there: states, then the softmax."""
    with part("states"):
        # embedding, not indexing: its gradient is the same in every run
        history = functional.embedding(batch.items, vectors)
        states = model.users(
            history, batch.events, batch.ages, batch.mask, batch.event_weights, people=batch.people
        )
    hidden = trends = None
    if mask_history:
        hidden = already_had(batch, len(vectors))
    with torch.autocast(vectors.device.type, enabled=False), part("softmax"):
        temperature = model.temperatures.index_select(0, batch.ahead).unsqueeze(1)
        if batch.moments is not None:
            offsets = model.trends(batch.popularity, batch.item_ages)
            rows = batch.ahead * offsets.shape[1] + batch.moments
            trends = Grouped(offsets.flatten(0, 1), rows)
        return losses.softmax(
            states.flatten(0, 1).index_select(0, batch.places) / temperature,
            vectors,
            batch.targets,
            batch.log_q,
            hidden,
            batch.weights,
            trends,
        )


def already_had(batch: Batch, candidates: int) -> Grouped:
    """Bool `[B, C]`, shared by a window's states: what its user has or is to foresee.

    These are no negatives of that user.
    """
    windows, length = batch.mask.shape
    owners = batch.places // length
    had = torch.zeros((windows, candidates), dtype=torch.bool, device=batch.mask.device)
    had.scatter_(1, batch.items, True)
    had[owners, batch.targets] = True
    return Grouped(had, owners)


def gradients(
    model: TwoTower, optimizers_in_use: list[torch.optim.Optimizer], loss: Tensor
) -> float:
    """Fills the gradients of `loss` and returns the norm of all of them together."""
    for optimizer in optimizers_in_use:
        optimizer.zero_grad(set_to_none=True)
    with part("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    return float(optimizers.gradient_norm(model))


def check_finite(loss: float, norm: float, step: int, batch: Batch) -> None:
    """Stops before the weights are touched.

    Raises:
        InputFault: loss or gradient norm are not finite; names the step and the batch's users.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return
    users = ", ".join(str(user) for user in sorted(set(batch.users.tolist())))
    raise InputFault(
        "training became unstable: loss or gradient are not finite",
        value=f"loss {loss}, gradient norm {norm}",
        where=f"step {step}, histories of the users with rows {users}",
        fix="look for features of their items that are not finite, or lower the learning rates; "
        "no weight was touched, the last checkpoint is intact",
    )

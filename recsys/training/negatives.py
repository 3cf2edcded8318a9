"""What a training set-up lets a target be told apart from, measured on its own batches.

Called by the model doctor: most bad lists come from bad negatives, and nothing in the loss says so.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from recsys.training.batch import Batch
from recsys.training.batches import Batches
from recsys.training.steps import already_had
from recsys.training.windows import Histories

BATCHES = 20
HEAD = 0.1  # the most popular items, as a share of those of training


@dataclass(frozen=True)
class NegativeStatistics:
    """Means over some batches.

    Attributes:
        negatives: candidates per target that count against it.
        head_share: share of the candidates that are among the most popular tenth of the items.
        head_events: share of the events that are on these.
        false_negatives: share of the negatives that the user has in his history.
        hidden: share of the items of a user's history among the candidates that are masked.
        catalogue: items of training.
    """

    negatives: float
    head_share: float
    head_events: float
    false_negatives: float
    hidden: float
    catalogue: int


def measure(
    batches: Batches, histories: Histories, items: int, mask_history: bool
) -> NegativeStatistics:
    """Looks at the first batches of an epoch.

    Args:
        batches: of the training.
        histories: that they were made from.
        items: N.
        mask_history: whether the loss masks what a window's user had.

    Raises:
        ValueError: there is no batch.
    """
    counts = np.bincount(histories.items, minlength=items)
    known = int((counts > 0).sum())
    head = np.zeros(items, np.bool_)
    head[np.argsort(-counts, kind="stable")[: max(1, round(HEAD * known))]] = True
    rows = [
        _of_batch(batch, histories, head, mask_history)
        for batch in islice(batches.epoch(0), BATCHES)
        if len(batch.places)
    ]
    if not rows:
        raise ValueError("no batch to look at")
    negatives, share, false, hidden = np.mean(rows, axis=0).tolist()
    events = float(counts[head].sum() / counts.sum())
    return NegativeStatistics(negatives, share, events, false, hidden, known)


def _of_batch(
    batch: Batch, histories: Histories, head: npt.NDArray[np.bool_], mask_history: bool
) -> tuple[float, float, float, float]:
    """Negatives per target, head share, false negatives per negative, masked per item had."""
    rows = batch.item_rows.numpy()
    shared = already_had(batch, len(rows))
    masked = shared.values if mask_history else torch.zeros_like(shared.values)
    had = np.stack([
        np.isin(rows, histories.items[histories.offsets[user] : histories.offsets[user + 1]])
        for user in batch.users.tolist()
    ])  # fmt: skip
    windows = np.bincount(shared.rows.numpy(), minlength=len(had))  # targets of each window
    counting = ~masked.numpy()
    negatives = counting.sum(axis=1) - (0 if mask_history else 1)
    false = (counting & had).sum(axis=1) - (0 if mask_history else 1)
    total = float((negatives * windows).sum())
    return (
        total / windows.sum(),
        float(head[rows].mean()),
        float((false * windows).sum()) / max(1.0, total),
        float((masked.numpy() & had).sum() / max(1, had.sum())),
    )

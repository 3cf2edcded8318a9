"""What a training run learns from, and what tells one log from another. Called by the run."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.data.trends import Trends
from recsys.models.item_features import ItemFeatures
from recsys.training.windows import Histories

DIGESTED = 1 << 20  # numbers at a time


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        features: N items of the catalogue.
        histories: training events; item rows are rows of `features`.
        trends: popularity and age of the items on the days of training; None where the model has no
            such terms.
        since_seconds: only events from this moment on are targets; None for all.
        people: `[U, C]` int64 attributes of the users of `histories`, as the model's user columns
            code them; None where it has none.
    """

    features: ItemFeatures
    histories: Histories
    trends: Trends | None = None
    since_seconds: int | None = None
    people: npt.NDArray[np.int64] | None = None

    def digest(self) -> str:
        """Identifies log, trends and people (16 hex digits)."""
        histories = self.histories
        digest = hashlib.sha256()
        for numbers in (histories.offsets, histories.items, histories.events, histories.times):
            _add(digest, numbers, np.int64)
        _add(digest, histories.weights, np.float32)
        if self.trends is not None:
            digest.update(self.trends.created_days.tobytes())
        if self.people is not None:
            digest.update(np.ascontiguousarray(self.people).tobytes())
        return digest.hexdigest()[:16]


def _add(digest: Any, values: npt.NDArray[Any], kind: type[np.number]) -> None:
    """In pieces: all of it as bytes would be a copy of the log."""
    for start in range(0, len(values), DIGESTED):
        digest.update(values[start : start + DIGESTED].astype(kind).tobytes())

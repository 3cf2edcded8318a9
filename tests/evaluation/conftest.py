"""Small histories for the baselines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Told:
    """What `recsys.data.histories.Histories` looks like from here."""

    offsets: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.int64]
    weights: NDArray[np.float32]


@pytest.fixture
def tell() -> Callable[..., Told]:
    """Makes histories from one list of item rows per user; event e happens at second e."""

    def told(*users: list[int], weights: list[float] | None = None) -> Told:
        offsets = np.cumsum([0, *map(len, users)]).astype(np.int64)
        items = np.array([row for user in users for row in user], dtype=np.int64)
        given = np.ones(len(items)) if weights is None else np.array(weights)
        times = np.arange(len(items), dtype=np.int64)
        return Told(offsets, items, times, given.astype(np.float32))

    return told

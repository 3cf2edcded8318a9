"""What targets are told apart from: by hand, and the signs of a bad set-up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from recsys.training import negatives
from recsys.training.batches import Batches, BatchSettings
from recsys.training.negatives import NegativeStatistics


@dataclass(frozen=True)
class Log:
    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def log(histories: list[list[int]]) -> Log:
    items = np.array([item for history in histories for item in history], np.int64)
    return Log(
        np.cumsum([0, *map(len, histories)]).astype(np.int64), items, np.ones_like(items),
        np.arange(len(items)), np.ones(len(items), np.float32),
    )  # fmt: skip


def measured(history: Log, items: int, length: int = 50, **chosen: Any) -> NegativeStatistics:
    settings = BatchSettings.model_validate(chosen)
    batches = Batches(history, items, length, settings, 0)
    return negatives.measure(batches, history, items, settings.mask_history)


def test_golden() -> None:
    # one batch, all 5 items are candidates; the first user had 0 1 2, the second 3 4.
    # Masked: 2 negatives for each of the first user's two targets, 3 for the second's one.
    history = log([[0, 1, 2], [3, 4]])
    found = measured(history, 6, candidates="in_batch")
    assert found.negatives == pytest.approx((2 + 2 + 3) / 3)
    assert (found.false_negatives, found.hidden, found.catalogue) == (0, 1, 5)
    # Not masked: 4 negatives each, of which the user had 2, 2 and 1
    found = measured(history, 6, candidates="in_batch", mask_history=False)
    assert found.negatives == 4
    assert found.false_negatives == pytest.approx((2 + 2 + 1) / 12)
    assert found.hidden == 0


def test_a_skewed_log_has_popular_candidates_in_batch_but_not_mixed() -> None:
    random = np.random.default_rng(0)
    popularity = 1 / np.arange(1, 2001) ** 1.4
    rows = [
        np.unique(random.choice(2000, 12, p=popularity / popularity.sum())).tolist()
        for _ in range(600)
    ]
    history = log([random.permutation(row).tolist() for row in rows])
    alone = measured(history, 2000, candidates="in_batch", batch_events=128)
    mixed = measured(history, 2000, candidates="mixed", batch_events=128)
    assert alone.head_events > 0.5
    assert alone.head_share > 0.4 > 2 * mixed.head_share
    assert mixed.negatives > 4 * alone.negatives


def test_items_before_a_short_window_are_false_negatives() -> None:
    # each user: four windows of 2 targets that mask 3 of his 10 items, and one of 1 that masks 2
    history = log([list(range(10)), list(range(10, 20))])
    found = measured(history, 20, length=2, candidates="full")
    assert found.false_negatives == pytest.approx((8 * 7 + 8) / (8 * 17 + 18))
    assert found.hidden == pytest.approx((4 * 3 + 2) / 50)


def test_nothing_to_look_at() -> None:
    with pytest.raises(ValueError, match="no batch"):
        measured(log([[0], [1]]), 2)

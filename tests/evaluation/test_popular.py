"""Popularity: weights, decay, no future."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys.evaluation.popular import DAY_SECONDS, Popular, fit_popular, fit_recent_popular


def test_golden_weights(tell: Callable) -> None:
    fitted = fit_popular(tell([0, 1], [1], weights=[5, 1, 1]), 3)
    assert fitted.strength.tolist() == [5, 2, 0]


def test_golden_decay(tell: Callable) -> None:
    # Half-life 2 days, asked on day 4: ages 4 and 2 days, and one event of the future.
    histories = tell([0, 1, 2])
    histories.times[:] = [0, 2 * DAY_SECONDS, 5 * DAY_SECONDS]
    fitted = fit_recent_popular(histories, 3, 4 * DAY_SECONDS, 2.0)
    assert fitted.strength == pytest.approx([0.25, 0.5, 0])


def test_scores_keep_apart_what_float32_would_tie(tell: Callable) -> None:
    scores = Popular(np.array([1e9 + 1, 1e9, 1e9, 0.0])).scores(tell([], []), 0, 2)
    assert scores.tolist() == [[2, 1, 1, 0]] * 2

"""The Markov chain against numbers by hand and a loop."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys.evaluation.markov import fit_markov
from recsys.evaluation.user_matrices import POPULARITY_NUDGE


def test_golden(tell: Callable) -> None:
    # From 0: twice to 1, once to 2, so P(1|0) = 2/3, P(2|0) = 1/3. From 1: once to 2. No pair
    # crosses from one user to the next.
    fitted = fit_markov(tell([0, 1], [0, 1, 2], [0, 2]), 4)
    expected = [[0, 2 / 3, 1 / 3, 0], [0, 0, 1, 0], [0] * 4, [0] * 4]
    assert fitted.transitions.toarray() == pytest.approx(np.array(expected))
    # History 0 then 1: last event 1 says 2 with 1; the one before counts .7: .7 * 2/3 and .7 / 3.
    scores = fitted.scores(tell([0, 1]), 0, 1)[0]
    expected_scores = [0, 0.7 * 2 / 3, 1 + 0.7 / 3, 0]
    assert scores == pytest.approx(expected_scores, abs=2 * POPULARITY_NUDGE)


def test_only_the_last_events_speak(tell: Callable) -> None:
    fitted = fit_markov(tell([0, 1], [2, 3]), 4, last=1)
    scores = fitted.scores(tell([0, 2]), 0, 1)[0]
    assert scores == pytest.approx([0, 0, 0, 1], abs=2 * POPULARITY_NUDGE)


@pytest.mark.parametrize("reach", [1, 2, 5, 50])
def test_equals_a_loop(tell: Callable, reach: int) -> None:
    generator = np.random.default_rng(reach)
    users = [generator.integers(0, 6, n).tolist() for n in (1, 0, 7, 12)]
    counts = np.zeros((6, 6))
    for user in users:
        for later in range(len(user)):
            for gap in range(1, min(reach, later) + 1):
                counts[user[later - gap], user[later]] += 0.7 ** (gap - 1)
    expected = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    found = fit_markov(tell(*users), 6, reach=reach).transitions.toarray()
    assert found == pytest.approx(expected, abs=1e-6)

"""EASE against the two-item solution by hand and the constrained regressions it stands for."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys.errors import ResourceFault
from recsys.evaluation.ease import fit_ease


def test_golden_two_items(tell: Callable) -> None:
    # Three users had item 0, two of them item 1. With a zero diagonal, predicting 1 from 0 alone:
    # weight = x0.x1 / (x0.x0 + 1) = 2 / 4; predicting 0 from 1: 2 / (2 + 1).
    fitted = fit_ease(tell([0, 1], [1, 0, 0], [0]), 2, regularisation=1.0)
    assert fitted.weights == pytest.approx(np.array([[0, 0.5], [2 / 3, 0]]), abs=1e-6)


def test_equals_one_ridge_regression_per_item(tell: Callable) -> None:
    generator = np.random.default_rng(3)
    users = [np.flatnonzero(generator.random(8) < 0.4).tolist() for _ in range(50)]
    had = np.array([[float(i in user) for i in range(8)] for user in users])
    found = fit_ease(tell(*users), 8, regularisation=3.0).weights
    for item in range(8):
        others = [i for i in range(8) if i != item]
        x = had[:, others]
        expected = np.linalg.solve(x.T @ x + 3.0 * np.eye(7), x.T @ had[:, item])
        assert found[others, item] == pytest.approx(expected, abs=1e-5)
        assert found[item, item] == 0


def test_large_catalogues_are_refused(tell: Callable) -> None:
    with pytest.raises(ResourceFault, match="stops at 10,000 items"):
        fit_ease(tell([0]), 10_001)

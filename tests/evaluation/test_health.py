"""Lists and vectors that are healthy, and those of a collapsed model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.evaluation import health


def test_golden_lists() -> None:
    # events 7, 1, 0: log(1 + n) of the listed 0 0 1 2: (3 * 2 + 1 + 0) / 4 log 2; consumed 1: log 2
    counts = np.array([7.0, 1.0, 0.0])
    found = health.of_lists(np.array([[0, 1], [2, 0]]), np.array([1]), counts)
    assert found.popularity_lift == pytest.approx(2 ** (7 / 4 - 1))
    # the order within a list does not matter; -1 is no item
    same = health.of_lists(np.array([[0, 1], [1, 0], [2, -1]]), np.array([1]), counts)
    assert same.same_list == pytest.approx(2 / 3)


def test_golden_vectors() -> None:
    # four unit vectors along both axes, both ways: pairs have cosines -1, -1 and four times 0;
    # the variance is the same in both directions
    axes = np.array([[1, 0], [-1, 0], [0, 2], [0, -2]], np.float32) * np.array([[2, 1]])
    found = health.of_vectors(axes.astype(np.float32), np.random.default_rng(0))
    assert found.mean_cosine == pytest.approx(-2 / 6)
    assert found.directions == pytest.approx(2)


def test_collapsed_vectors() -> None:
    random = np.random.default_rng(0)
    line = (random.normal(size=(300, 1)) * np.ones(16) + 5).astype(np.float32)
    found = health.of_vectors(line, random)
    assert found.mean_cosine > 0.95
    assert found.directions == pytest.approx(1, abs=1e-6)
    spread = health.of_vectors(random.normal(size=(3000, 16)).astype(np.float32), random)
    assert abs(spread.mean_cosine) < 0.05
    assert spread.directions > 15
    with pytest.raises(ValueError, match="two vectors"):
        health.of_vectors(np.ones((1, 4), np.float32), random)


@given(st.integers(0, 1000), st.integers(2, 30), st.integers(1, 5))
def test_the_mean_cosine_is_that_of_all_pairs(seed: int, count: int, width: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, width)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(count) for j in range(count) if i != j]
    found = health.of_vectors(vectors, random)
    assert found.mean_cosine == pytest.approx(np.mean(pairs), abs=1e-5)
    assert 1 - 1e-6 <= found.directions <= width + 1e-6

"""Novelty, diversity, coverage, concentration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys.evaluation import list_metrics


def test_golden_novelty_and_popularity_share() -> None:
    # Counts 5 1 0 0, N = 4: p = 6/10, 2/10, 1/10, 1/10.
    # List 0 1: (-log2 .6 - log2 .2) / 2 = (.7370 + 2.3219) / 2 = 1.52945; the empty list has none.
    counts = np.array([5.0, 1, 0, 0])
    ranked = np.array([[0, 1], [2, -1], [-1, -1]])
    novelty = list_metrics.novelty_at_k(ranked, counts, 2)
    assert novelty == pytest.approx([1.52945, 3.32193, np.nan], abs=1e-5, nan_ok=True)
    # One item of four is the head (at least one): item 0.
    share = list_metrics.popularity_share_at_k(ranked, counts, 2)
    assert share == pytest.approx([0.5, 0, np.nan], nan_ok=True)


def test_golden_diversity() -> None:
    # Vectors along x, along x (longer), along y, zero. Pairs of 0 1 2: cosines 1, 0, 0 -> 1 - 1/3.
    vectors = np.array([[1, 0], [3, 0], [0, 2], [0, 0]], dtype=np.float32)
    ranked = np.array([[0, 1, 2], [0, 1, 3], [0, 3, -1]])
    diversity = list_metrics.diversity_at_k(ranked, vectors, 3)
    assert diversity == pytest.approx([2 / 3, 0, np.nan], nan_ok=True)


def test_golden_coverage_and_gini() -> None:
    # Impressions 3 1 0 0 over four items: sorted 0 0 1 3, ranks -3 -1 1 3 -> 10 / (4 * 4).
    ranked = np.array([[0, 1], [0, -1], [0, -1]])
    assert list_metrics.coverage_at_k(ranked, 4, 2) == 0.5
    assert list_metrics.gini_at_k(ranked, 4, 2) == pytest.approx(10 / 16)
    # Only items 0 and 1 could be listed: impressions 1 3, ranks -1 1 -> 2 / (2 * 4).
    eligible = np.array([True, True, False, False])
    assert list_metrics.coverage_at_k(ranked, 4, 2, eligible) == 1
    assert list_metrics.gini_at_k(ranked, 4, 2, eligible) == pytest.approx(0.25)
    assert np.isnan(list_metrics.gini_at_k(np.array([[-1]]), 4, 1))


def test_equal_impressions_have_gini_zero_and_one_item_nearly_one() -> None:
    assert list_metrics.gini_at_k(np.array([[0, 1], [2, 3]]), 4, 2) == pytest.approx(0)
    assert list_metrics.gini_at_k(np.zeros((9, 1), np.int64), 100, 1) == pytest.approx(0.99)


@given(arrays.arrays(np.float32, (8, 3), elements=st.floats(-1, 1, width=16)), st.integers(2, 6))
def test_diversity_equals_all_pairs(vectors: np.ndarray, k: int) -> None:
    ranked = np.array([[7, 1, 2, 5, 0, 3]])
    units = [v / np.linalg.norm(v) for v in vectors[ranked[0, :k]] if np.linalg.norm(v) > 0]
    cosines = [a @ b for place, a in enumerate(units) for b in units[:place]]
    expected = 1 - np.mean(cosines) if cosines else np.nan
    found = list_metrics.diversity_at_k(ranked, vectors, k)[0]
    assert found == pytest.approx(expected, abs=1e-4, nan_ok=True)


@given(st.lists(st.integers(0, 50), min_size=3, max_size=12))
def test_gini_equals_mean_absolute_difference(impressions: list[int]) -> None:
    ranked = np.repeat(np.arange(len(impressions)), impressions)[:, None]
    if not len(ranked):
        return
    x = np.array(impressions)
    expected = np.abs(x[:, None] - x[None]).mean() / (2 * x.mean())
    assert list_metrics.gini_at_k(ranked, len(x), 1) == pytest.approx(expected)

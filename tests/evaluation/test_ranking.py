"""The k best allowed items, ties in row order, against a full stable sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys.errors import InputFault
from recsys.evaluation.lists import row_sets
from recsys.evaluation.ranking import rank


def test_golden_ties_at_the_cut() -> None:
    # Scores 2 1 1 3 1: best 3, 0, then three items tie for the last place: row 1 gets it.
    scores = np.array([[2, 1, 1, 3, 1]], dtype=np.float32)
    assert rank(scores, None, None, 3).tolist() == [[3, 0, 1]]


def test_golden_seen_and_not_eligible() -> None:
    # Row 3 was seen by user 0 only, row 0 may not be listed: 2 items are left for three places.
    scores = np.tile(np.array([[9, 1, 2, 8]], dtype=np.float32), (2, 1))
    seen = row_sets(np.array([0, 1, 1]), np.array([3]))
    eligible = np.array([False, True, True, True])
    assert rank(scores, seen, eligible, 3).tolist() == [[2, 1, -1], [3, 2, 1]]


def test_more_places_than_items_and_nothing_allowed() -> None:
    assert rank(np.ones((1, 2), np.float32), None, None, 4).tolist() == [[0, 1, -1, -1]]
    assert rank(np.ones((1, 2), np.float32), None, np.zeros(2, bool), 2).tolist() == [[-1, -1]]
    assert rank(np.ones((0, 2), np.float32), None, None, 2).shape == (0, 2)
    assert rank(np.ones((1, 0), np.float32), None, None, 2).tolist() == [[-1, -1]]


@given(
    arrays.arrays(np.float32, (4, 9), elements=st.integers(-2, 2).map(float)),
    st.lists(st.lists(st.integers(0, 8), max_size=9), min_size=4, max_size=4),
    arrays.arrays(np.bool_, 9),
    st.integers(1, 11),
)
def test_equals_a_full_stable_sort(
    scores: np.ndarray, seen: list[list[int]], eligible: np.ndarray, k: int
) -> None:
    offsets = np.cumsum([0, *map(len, seen)])
    sets = row_sets(offsets, np.array([row for user in seen for row in user], dtype=np.int64))
    expected = []
    for user in range(4):
        allowed = [row for row in range(9) if eligible[row] and row not in seen[user]]
        best = sorted(allowed, key=lambda row: (-scores[user, row], row))[:k]
        expected.append(best + [-1] * (k - len(best)))
    assert rank(scores.copy(), sets, eligible, k).tolist() == expected


def test_random_scores_equal_a_full_sort() -> None:
    scores = np.random.default_rng(0).standard_normal((20, 5_000)).astype(np.float32)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :100]
    assert np.array_equal(rank(scores, None, None, 100), expected)


def test_nan_is_refused() -> None:
    with pytest.raises(InputFault, match="item row 1"):
        rank(np.array([[0, np.nan]], dtype=np.float32), None, None, 1)


def test_misfits_are_refused() -> None:
    scores = np.zeros((2, 3), np.float32)
    with pytest.raises(InputFault, match="same users"):
        rank(scores, row_sets(np.array([0, 1]), np.array([0])), None, 1)
    with pytest.raises(InputFault, match="same items"):
        rank(scores, None, np.ones(2, bool), 1)

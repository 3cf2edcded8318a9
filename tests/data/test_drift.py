"""The population stability index: by hand, and what holds of any counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import drift

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


def test_by_hand() -> None:
    # with half a count each: p = 2.5/4, 1.5/4; q = 1.5/4, 2.5/4
    expected = 2 * (2.5 - 1.5) / 4 * np.log(2.5 / 1.5)
    assert drift.stability_index([2, 1], [1, 2]) == pytest.approx(expected)


@given(COUNTS)
def test_alike_is_zero(counts: list[int]) -> None:
    assert drift.stability_index(counts, counts) == 0


@given(COUNTS)
def test_neither_side_is_the_first(counts: list[int]) -> None:
    other = counts[::-1]
    forth, back = drift.stability_index(counts, other), drift.stability_index(other, counts)
    assert forth >= 0
    assert forth == pytest.approx(back)


def test_an_empty_bin_stays_finite() -> None:
    assert 0.25 < drift.stability_index([100, 0], [50, 50]) < 10


def test_chance_level_is_what_samples_of_one_distribution_show() -> None:
    random, share = np.random.default_rng(0), [0.4, 0.3, 0.2, 0.1]
    found = [
        drift.stability_index(random.multinomial(2000, share), random.multinomial(8000, share))
        for _ in range(500)
    ]
    expected = drift.chance_level([2000, 0, 0, 0], [8000, 0, 0, 0])
    assert np.mean(found) == pytest.approx(expected, rel=0.1)
    assert drift.chance_level([0, 0], [1, 1]) == np.inf


@pytest.mark.parametrize(("now", "before"), [([1, 2], [1]), ([[1]], [[1]]), ([-1, 2], [1, 2])])
def test_what_is_refused(now: list[int], before: list[int]) -> None:
    with pytest.raises(ValueError, match="same bins"):
        drift.stability_index(now, before)

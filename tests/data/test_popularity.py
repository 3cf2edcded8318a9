"""Decayed popularity and log inclusion probabilities."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.popularity import DAY_SECONDS, decayed, log_inclusion


def test_decayed_by_hand() -> None:
    # At day 10, half-life 2 days. Item 0: ages 0 and 2 -> 1 + 1/2. Item 1: age 6 -> 1/8.
    # Item 2: only an event of day 11, the future. Item 3: none.
    items = np.array([0, 0, 1, 2])
    times = np.array([10, 8, 4, 11]) * DAY_SECONDS
    found = decayed(items, times, 4, 10 * DAY_SECONDS, 2.0)
    np.testing.assert_allclose(found, [1.5, 0.125, 0, 0])


def test_decayed_weights_and_no_decay() -> None:
    items, times = np.array([1, 1, 0]), np.array([0, 5, 9])
    found = decayed(items, times, 2, 9, math.inf, np.array([2.0, 3.0, 0.5]))
    np.testing.assert_allclose(found, [0.5, 5.0])


def test_no_events_is_no_popularity() -> None:
    none = np.array([], dtype=np.int64)
    assert decayed(none, none, 3, 0, 1.0).tolist() == [0, 0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 10**7)), max_size=40),
    st.integers(0, 10**7),
    st.floats(0.1, 100),
)
def test_decayed_against_a_loop(events: list[tuple[int, int]], at: int, half_life: float) -> None:
    expected = [0.0] * 5
    for item, time in events:
        if time <= at:
            expected[item] += 0.5 ** ((at - time) / DAY_SECONDS / half_life)
    items = np.array([item for item, _ in events], dtype=np.int64)
    times = np.array([time for _, time in events], dtype=np.int64)
    np.testing.assert_allclose(decayed(items, times, 5, at, half_life), expected, atol=1e-12)


def test_log_inclusion_by_hand() -> None:
    # p = 1/4 and 3/4, two draws: 1 - (3/4)^2 = 7/16 and 1 - (1/4)^2 = 15/16.
    found = log_inclusion(np.array([1, 3, 0]), 2)
    np.testing.assert_allclose(found, [math.log(7 / 16), math.log(15 / 16), -math.inf])


def test_one_draw_is_the_share() -> None:
    counts = np.array([5, 1, 94])
    np.testing.assert_allclose(log_inclusion(counts, 1), np.log(counts / 100))


def test_only_item_is_certain() -> None:
    assert log_inclusion(np.array([7.0, 0.0]), 3).tolist() == [0.0, -math.inf]


@given(st.integers(1, 10**6), st.integers(2, 12))
def test_halving_a_small_share_takes_log_two(draws: int, digits: int) -> None:
    # Two worlds with the same total: the item's p and p / 2, both far below 1 / draws.
    share = 10.0**-digits / draws / 10
    whole = log_inclusion(np.array([share, 1 - share]), draws)[0]
    half = log_inclusion(np.array([share / 2, 1 - share / 2]), draws)[0]
    assert whole - half == pytest.approx(math.log(2), abs=draws * share)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6), st.integers(1, 300))
def test_log_inclusion_against_fractions(counts: list[int], draws: int) -> None:
    total = sum(counts)
    if total == 0:
        return
    for count, found in zip(counts, log_inclusion(np.array(counts), draws), strict=True):
        missed = (1 - Fraction(count, total)) ** draws
        if count == 0:
            assert found == -math.inf
        elif missed < Fraction(1, 2):
            assert found == pytest.approx(math.log1p(-float(missed)), rel=1e-9, abs=1e-300)
        else:
            assert found == pytest.approx(math.log(float(1 - missed)), rel=1e-9)


def test_more_frequent_is_never_less_likely() -> None:
    found = log_inclusion(np.arange(1, 100), 512)
    assert (np.diff(found) > 0).all()
    assert (found <= 0).all()


@pytest.mark.parametrize("counts", [[0, 0], [], [-1, 2], [np.inf, 1], [np.nan, 1]])
def test_impossible_counts(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="counts"):
        log_inclusion(np.array(counts), 4)


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match="draws"):
        log_inclusion(np.array([1]), 0)
    with pytest.raises(ValueError, match="half_life"):
        decayed(np.array([0]), np.array([0]), 1, 0, 0.0)

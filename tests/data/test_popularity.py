"""Log inclusion probabilities: by hand, against draws, exact where they are tiny."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.popularity import log_inclusion


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

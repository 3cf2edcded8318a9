"""Price bands equal quantiles one user at a time; what costs more or less loses by its distance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InputFault
from recsys.serving import price_band
from recsys.serving.reranking import Ranked

ENDS = np.log([[10.0, 40.0]])


def ranked_of(scores: list[float]) -> Ranked:
    """One user to whom item n has the nth score, in one term."""
    own = np.array([scores])
    return Ranked(np.arange(len(scores))[None], own, own[..., None])


@pytest.mark.parametrize(
    ("price", "factor"), [(10, 1), (20, 1), (40, 1), (80, 2), (400, 10), (5, 2), (1, 10)]
)
def test_distance_is_the_factor_outside_the_band(price: float, factor: float) -> None:
    found = price_band.outside(np.log([[price]]), ENDS)
    assert found[0, 0] == pytest.approx(math.log(factor))


def test_golden_order_and_terms() -> None:
    # twice the upper end costs item 0 3 * log 2 = 2.08: it falls below item 2, which has no price
    logs = price_band.log_prices(np.array([80.0, 20.0, np.nan, 0.0]))
    found = price_band.applied(ranked_of([4.0, 3, 2, 1]), ENDS, logs, 3.0)
    assert found.rows.tolist() == [[1, 2, 0, 3]]
    np.testing.assert_allclose(found.terms[0, :, 1], [0, 0, -3 * math.log(2), 0])
    np.testing.assert_array_equal(found.scores, found.terms.sum(axis=-1))


def test_golden_bands() -> None:
    # user 0 paid 1, e, e^2: the quartiles lie at 0.5 and 1.5; user 1 has no event, user 2 none of
    # a known price, user 3 one
    logs = np.array([0.0, 1, 2, np.nan])
    items, offsets = np.array([2, 0, 3, 1, 3, 1]), np.array([0, 4, 4, 5, 6])
    found = price_band.bands(offsets, items, logs, (0.25, 0.75))
    np.testing.assert_allclose(found, [[0.5, 1.5], [np.nan] * 2, [np.nan] * 2, [1, 1]])


def test_a_user_without_a_band_and_the_end_of_a_list() -> None:
    ranked = Ranked(
        np.array([[0, 1, -1]]), np.array([[2.0, 1, -np.inf]]), np.array([[[2.0], [1], [0]]])
    )
    unknown, logs = np.full((1, 2), np.nan), np.array([0.0, 9])
    found = price_band.applied(ranked, unknown, logs, 5.0)
    assert found.rows.tolist() == [[0, 1, -1]]
    assert found.scores.tolist() == [[2, 1, -np.inf]]
    assert not found.terms[..., 1].any()
    found = price_band.applied(ranked, np.array([[9.0, 9]]), logs, 5.0)
    assert found.rows.tolist() == [[1, 0, -1]]
    assert found.scores.tolist() == [[1, -43, -np.inf]]


@pytest.mark.parametrize("prices", [None, np.array([np.nan, 0, -1, np.inf])])
def test_without_any_price_the_rule_is_refused(prices: np.ndarray | None) -> None:
    with pytest.raises(InputFault, match="price_band=0"):
        price_band.log_prices(prices)


@given(
    st.lists(st.lists(st.integers(0, 7), max_size=9), min_size=1, max_size=5),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_bands_are_those_of_a_slow_loop(users: list[list[int]], ends: list[float]) -> None:
    logs = np.array([0.3, -1.0, 2.5, np.nan, 0.3, 7.0, np.nan, 1.1])
    offsets = np.cumsum([0, *map(len, users)])
    items = np.array([item for user in users for item in user], np.int64)
    found = price_band.bands(offsets, items, logs, (ends[0], ends[1]))
    for row, user in zip(found, users, strict=True):
        paid = [logs[item] for item in user if not np.isnan(logs[item])]
        expected = np.quantile(paid, ends) if paid else [np.nan, np.nan]
        np.testing.assert_allclose(row, expected, atol=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.floats(0.1, 5))
def test_scores_fall_and_no_item_gains(scores: list[float], weight: float) -> None:
    ranked = ranked_of(sorted(scores, reverse=True))
    logs = np.linspace(-3, 3, len(scores))
    found = price_band.applied(ranked, np.array([[-1.0, 1.0]]), logs, weight)
    assert sorted(found.rows[0]) == list(range(len(scores)))
    assert (np.diff(found.scores[0]) <= 0).all()
    assert (found.terms[..., 1] <= 0).all()
    near = [row for row in found.rows[0] if abs(logs[row]) <= 1]
    assert near == sorted(near)  # inside the band nothing changes places

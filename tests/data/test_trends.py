"""What was known of items on a day: by hand, against a sum over events, and without the future."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import trends
from recsys.data.trends import DAY_SECONDS as DAY

NAN = float("nan")


def test_golden() -> None:
    # item 0: events at the ends of days 0 and 2; item 1: one in the middle of day 1; item 2: none.
    # Half-life 1 day. At the beginning of day 3: item 0 has 1/8 + 1; item 1 2^-1.5; at that of day
    # 1: item 0 has 1. Item 0 appeared with its first event, though the catalogue says later.
    known = trends.build(
        np.array([0, 1, 0]), np.array([DAY - 1, 1.5 * DAY, 3 * DAY - 1]).astype(np.int64),
        np.array([2.0 * DAY, NAN, 5.25 * DAY]), (1.0,),
    )  # fmt: skip
    counts, ages = known.at(np.array([1, 3, 5, 6]), np.array([0, 1, 2]))
    left = 2**-2.0 + 1
    np.testing.assert_allclose(
        counts[..., 0],
        [[1, 0, 0], [left, 2**-1.5, 0], [left / 4, 2**-3.5, 0], [left / 8, 2**-4.5, 0]],
        rtol=1e-4,
    )
    # item 2 is not there on day 3, appears during day 5, and is .75 days old on day 6
    np.testing.assert_allclose(ages[:, 0], [0, 2, 4, 5], atol=1e-4)
    np.testing.assert_allclose(ages[:, 2], [-4.25, -2.25, 0, 0.75])
    assert np.isnan(ages[:, 1]).all()


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(0, DAY - 1))
def test_counts_equal_the_decayed_ones_of_any_moment(seed: int, events: int, ends: int) -> None:
    random = np.random.default_rng(seed)
    items = random.integers(0, 5, events)
    times = random.integers(100 * DAY, 130 * DAY, events)
    lives = (0.5, 3.0, 40.0)
    known = trends.build(items, times, np.full(6, NAN), lives, ends)
    days = np.sort(random.integers(95, 150, 4))
    counts, _ = known.at(days, np.array([4, 0, 5]))
    for place, day in enumerate(days):
        moment = day * DAY + ends
        for number, life in enumerate(lives):
            before = times < moment
            age_days = (moment - times[before]) / DAY
            expected = np.bincount(items[before], 2.0 ** (-age_days / life), minlength=6)
            np.testing.assert_allclose(
                counts[place, :, number], expected[[4, 0, 5]], rtol=1e-5, atol=1e-9
            )


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_the_future_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    items, times = random.integers(0, 5, 40), random.integers(0, 30 * DAY, 40)
    created = random.uniform(0, 30 * DAY, 5)
    early = times < 12 * DAY
    rows, days = np.arange(5), np.arange(13)
    some = trends.build(items[early], times[early], created, (2.0,)).at(days, rows)
    every = trends.build(items, times, created, (2.0,)).at(days, rows)
    np.testing.assert_allclose(some[0], every[0], rtol=1e-6)
    there = some[1] >= 0
    np.testing.assert_allclose(some[1][there], every[1][there])


def test_no_events_and_no_half_lives() -> None:
    nothing = np.zeros(0, np.int64)
    known = trends.build(nothing, nothing, np.array([DAY * 2.0]), ())
    counts, ages = known.at(np.array([1, 4]), np.array([0]))
    assert counts.shape == (2, 1, 0)
    np.testing.assert_allclose(ages[:, 0], [-1, 2])
    counts, _ = trends.build(nothing, nothing, np.zeros(1), (1.0,)).at(np.array([4]), np.array([0]))
    assert counts.tolist() == [[[0.0]]]

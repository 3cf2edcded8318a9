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
        np.array([2.0 * DAY, NAN, 5.25 * DAY]), (1.0,), 0.5,
    )  # fmt: skip
    days, rows = np.array([1, 3, 5, 6]), np.array([0, 1, 2])
    counts, (_, ages) = known.decayed(days, rows), known.at(days, rows)
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
    known = trends.build(items, times, np.full(6, NAN), lives, 0.5, ends)
    days = np.sort(random.integers(95, 150, 4))
    counts = known.decayed(days, np.array([4, 0, 5]))
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
    some = trends.build(items[early], times[early], created, (2.0, 9.0), 0.5).at(days, rows)
    every = trends.build(items, times, created, (2.0, 9.0), 0.5).at(days, rows)
    np.testing.assert_allclose(some[0], every[0], rtol=1e-6)
    there = some[1] >= 0
    np.testing.assert_allclose(some[1][there], every[1][there])


def test_a_short_half_life_says_how_much_more_than_expected() -> None:
    # Half-lives of 1 and 2 days, .5 events added. Item 0 had 3 events at the end of day 0, item 1
    # one at that of day 1, item 2 none. At the beginning of day 2, of 2 days: 3 / sqrt 2 and 1.
    # Of 1 day: 1.5 and 1, 2.5 together, of 3.12 over 2 days.
    times = np.array([DAY - 1, DAY - 1, DAY - 1, 2 * DAY - 1])
    known = trends.build(np.array([0, 0, 0, 1]), times, np.full(3, NAN), (1.0, 2.0), 0.5)
    popularity, _ = known.at(np.array([2, 40]), np.arange(3))
    longer = np.array([3 / 2**0.5 + 0.5, 1.5, 0.5])
    np.testing.assert_allclose(popularity[0, :, 1], longer, rtol=1e-4)
    expected = longer * 2.5 / (3 / 2**0.5 + 1)
    shorter = (np.array([1.5, 1, 0]) + 0.5) / (expected + 0.5)
    np.testing.assert_allclose(popularity[0, :, 0], shorter, rtol=1e-4)
    # after 38 days nothing is left of a day's half-life, and it says nothing
    np.testing.assert_allclose(popularity[1, :, 0], 1, rtol=1e-4)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.permutations([0.5, 3.0, 40.0]), st.floats(0.1, 5))
def test_popularity_follows_the_counts_and_much_smoothing_hides_short_ones(
    seed: int, lives: list[float], smoothing: float
) -> None:
    random = np.random.default_rng(seed)
    items, times = random.integers(0, 5, 30), random.integers(100 * DAY, 130 * DAY, 30)
    rows, days, longest = np.arange(8), np.array([90, 100, 101, 115, 131, 190]), np.argmax(lives)

    def popularity(smoothing: float) -> np.ndarray:
        known = trends.build(items, times, np.full(8, NAN), tuple(lives), smoothing)
        return known.at(days, rows)[0]

    found = popularity(smoothing)
    assert (found > 0).all()
    known = trends.build(items, times, np.full(8, NAN), tuple(lives), smoothing)
    counts = known.decayed(days, rows)
    np.testing.assert_allclose(found[..., longest], counts[..., longest] + smoothing, rtol=1e-5)
    for short in np.flatnonzero(np.array(lives) < max(lives)):
        # with as much to expect, what was chosen more often leads
        order = np.lexsort((counts[..., short], counts[..., longest]), axis=-1)
        same = np.diff(np.take_along_axis(counts[..., longest], order, -1)) == 0
        rising = np.diff(np.take_along_axis(found[..., short], order, -1))
        assert (rising[same] >= -1e-5).all()
    much = popularity(1e9)
    np.testing.assert_allclose(much, much[:, :1].repeat(8, axis=1), rtol=1e-4)


def test_no_events_and_no_half_lives() -> None:
    nothing = np.zeros(0, np.int64)
    known = trends.build(nothing, nothing, np.array([DAY * 2.0]), (), 0.5)
    popularity, ages = known.at(np.array([1, 4]), np.array([0]))
    assert popularity.shape == (2, 1, 0)
    np.testing.assert_allclose(ages[:, 0], [-1, 2])
    popularity, _ = trends.build(nothing, nothing, np.zeros(2), (1.0, 7.0), 0.5).at(
        np.array([4]), np.array([0, 1])
    )
    np.testing.assert_allclose(popularity[0], [[1, 0.5], [1, 0.5]])

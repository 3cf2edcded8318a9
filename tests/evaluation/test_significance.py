"""Bootstrap intervals: seeded, paired, right on average, the same in blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.evaluation import significance


def test_golden_standard_error() -> None:
    # 400 users, 100 of them 1: mean .25, standard error sqrt(.25 * .75 / 400) = .02165,
    # so the 95 % interval is near .25 -+ 1.96 * .02165 = .2076 to .2924.
    values = np.repeat([1.0, 0.0], [100, 300])
    found = significance.mean_interval(values, np.random.default_rng(0), draws=4_000)
    assert found.mean == 0.25
    assert found.users == 400
    assert found.low == pytest.approx(0.2076, abs=0.004)
    assert found.high == pytest.approx(0.2924, abs=0.004)


def test_equals_a_loop_over_the_same_draws() -> None:
    values = np.array([[1.0, 5.0], [2.0, np.nan], [4.0, 7.0]])
    found = significance.resampled_means(values, np.random.default_rng(3), draws=20)
    picked = np.random.default_rng(3).integers(0, 3, size=(20, 3))
    for draw, users in enumerate(picked):
        sample = values[users]
        assert found[draw, 0] == pytest.approx(sample[:, 0].mean())
        known = sample[:, 1][~np.isnan(sample[:, 1])]
        expected = known.mean() if len(known) else np.nan
        assert found[draw, 1] == pytest.approx(expected, nan_ok=True)


def test_pairing_sees_what_unpaired_intervals_cannot() -> None:
    # Users differ a lot, the systems by .01 for everybody.
    generator = np.random.default_rng(5)
    theirs = generator.random(500)
    ours = theirs + 0.01 + 0.001 * generator.standard_normal(500)
    difference = significance.paired_difference(ours, theirs, generator)
    assert difference.excludes_zero()
    assert difference.mean == pytest.approx(0.01, abs=0.001)
    a = significance.mean_interval(ours, generator)
    b = significance.mean_interval(theirs, generator)
    assert a.low < b.high


def test_covers_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(300):
        sample = (generator.random(200) < 0.3).astype(np.float64)
        found = significance.mean_interval(sample, generator, draws=400)
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 300 <= 0.985


def test_same_generator_state_same_interval_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((101, 3))
    whole = significance.resampled_means(values, np.random.default_rng(9), draws=50)
    monkeypatch.setattr(significance, "CELLS_PER_BLOCK", 300)
    parts = significance.resampled_means(values, np.random.default_rng(9), draws=50)
    assert parts == pytest.approx(whole)


@pytest.mark.parametrize("values", [np.array([]), np.full(4, np.nan)])
def test_nobody_has_a_value(values: np.ndarray) -> None:
    found = significance.mean_interval(values, np.random.default_rng(0), draws=10)
    assert found.users == 0
    assert np.isnan([found.mean, found.low, found.high]).all()
    assert not found.excludes_zero()


@settings(max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_interval_lies_within_the_values(values: list[float]) -> None:
    found = significance.mean_interval(np.array(values), np.random.default_rng(0), draws=50)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9

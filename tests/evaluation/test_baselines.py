"""The contract that every baseline keeps, and planted structure that some must find."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys.evaluation import baselines, ranking
from recsys.evaluation.baselines import BaselineSettings
from recsys.evaluation.lists import row_sets

NAMES = BaselineSettings().names


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: baselines.BaselineName, tell: Callable) -> None:
    generator = np.random.default_rng(4)
    users = [generator.integers(0, 12, n).tolist() for n in (5, 0, 1, 9, 30)]
    histories = tell(*users)
    fitted = baselines.fit(name, histories, 15, 100, BaselineSettings())
    scores = fitted.scores(histories, 0, 5)
    assert scores.shape == (5, 15)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    # A block scores as the whole does.
    assert np.array_equal(fitted.scores(histories, 2, 4), scores[2:4])
    # Nobody's list depends on the others asking; fitted histories stay as they were.
    alone = fitted.scores(tell(users[3]), 0, 1)
    assert alone[0] == pytest.approx(scores[3], rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_lists_hold_only_what_is_allowed(name: baselines.BaselineName, tell: Callable) -> None:
    histories = tell([0, 1, 2], [], [3, 1, 0])
    fitted = baselines.fit(name, histories, 6, 100, BaselineSettings())
    eligible = np.array([True, True, True, True, True, False])
    seen = row_sets(histories.offsets, histories.items)
    ranked = baselines.recommend(fitted, histories, seen, eligible, 6)
    assert [set(row.tolist()) - {-1} for row in ranked] == [{3, 4}, {0, 1, 2, 3, 4}, {2, 4}]


@pytest.mark.parametrize("name", NAMES)
def test_a_user_without_history_gets_popular_items(
    name: baselines.BaselineName, tell: Callable
) -> None:
    histories = tell([2, 1], [2, 3], [2, 1], [])
    fitted = baselines.fit(name, histories, 5, 8, BaselineSettings())
    ranked = baselines.recommend(fitted, histories, None, np.ones(5, bool), 3)
    assert ranked[3].tolist() == [2, 1, 3]


@pytest.mark.parametrize("name", ["markov", "item_knn", "ease"])
def test_checkerboard(name: baselines.BaselineName, tell: Callable) -> None:
    """Even users go round the even items, odd ones round the odd, each short of one of its own."""
    missing = [(2 * (u // 2) + u % 2) % 20 for u in range(40)]
    users = [[(m + 2 * step) % 20 for step in range(1, 10)] for m in missing]
    histories = tell(*users)
    fitted = baselines.fit(name, histories, 20, 10_000, BaselineSettings(ease_regularisation=10))
    seen = row_sets(histories.offsets, histories.items)
    ranked = baselines.recommend(fitted, histories, seen, np.ones(20, bool), 1)
    assert ranked[:, 0].tolist() == missing


@pytest.mark.parametrize("name", ["popular", "recent_popular"])
def test_checkerboard_is_beyond_popularity(name: baselines.BaselineName, tell: Callable) -> None:
    missing = [(2 * (u // 2) + u % 2) % 20 for u in range(40)]
    histories = tell(*[[(m + 2 * step) % 20 for step in range(1, 10)] for m in missing])
    fitted = baselines.fit(name, histories, 20, 10_000, BaselineSettings())
    seen = row_sets(histories.offsets, histories.items)
    ranked = baselines.recommend(fitted, histories, seen, np.ones(20, bool), 1)
    assert np.mean(ranked[:, 0] == np.array(missing)) < 0.5


def test_blocks_change_nothing(tell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    histories = tell(*[generator.integers(0, 30, 8).tolist() for _ in range(25)])
    fitted = baselines.fit("markov", histories, 30, 100, BaselineSettings())
    seen, everything = row_sets(histories.offsets, histories.items), np.ones(30, bool)
    whole = baselines.recommend(fitted, histories, seen, everything, 5)
    monkeypatch.setattr(baselines, "CELLS_PER_BLOCK", 100)
    assert np.array_equal(baselines.recommend(fitted, histories, seen, everything, 5), whole)


def test_ease_is_skipped_with_a_reason(tell: Callable) -> None:
    settings = BaselineSettings(names=("popular", "ease"), ease_item_limit=5)
    found = baselines.fit_baselines(tell([0, 1]), 6, 10, settings)
    assert list(found.fitted) == ["popular"]
    assert "stops at 5 items (here 6)" in found.skipped["ease"]


@pytest.mark.parametrize("name", ["popular", "recent_popular"])
@pytest.mark.parametrize("repeats", [False, True])
def test_popular_lists_are_ranked_among_few_as_among_all(
    name: baselines.BaselineName, repeats: bool, tell: Callable
) -> None:
    generator = np.random.default_rng(7)
    histories = tell(*[generator.integers(0, 40, n).tolist() for n in (3, 0, 12, 30, 1)])
    fitted = baselines.fit(name, histories, 50, 60, BaselineSettings())
    eligible = generator.random(50) < 0.7  # ten items tie at nothing
    seen = None if repeats else row_sets(histories.offsets, histories.items)
    for k in (1, 7, 60):
        scores = fitted.scores(histories, 0, 5)
        expected = ranking.rank(scores, seen, eligible, k)
        made = baselines.recommend(fitted, histories, seen, eligible, k)
        assert np.array_equal(made, expected)

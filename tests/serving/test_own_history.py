"""What users have had, as terms of lists that may repeat."""

from typing import Any

import numpy as np
import pytest
from test_recommend import NOW, log_of

from recsys.errors import MismatchFault
from recsys.evaluation.lists import row_sets
from recsys.serving import candidates, fallback, own_history, reranking
from recsys.serving.candidates import Candidates, CandidateSettings
from recsys.serving.recommend import ListSettings
from recsys.serving.reranking import ItemTerms, RerankSettings

DAY = 86_400
Made = Any


def test_golden_terms() -> None:
    # an event a half-life old counts a half: item 3 was had 1 and 2 hours ago, item 5 3 hours ago
    had = own_history.past(log_of([[5, 3, 3], [7]]), NOW, (1 / 24, 30.0))
    made = own_history.terms(had, np.array([[3, 5, 4, -1], [7, 3, 5, 0]]))
    assert made.names == ("own_0.0416667d", "own_30d")
    expected = np.log([[1 + 0.5 + 0.25, 1 + 0.125, 1, 1], [1.5, 1, 1, 1]])
    np.testing.assert_allclose(made.values[:, :, 0], expected)


def test_terms_are_what_a_loop_over_the_events_counts() -> None:
    random = np.random.default_rng(1)
    histories = [random.integers(0, 8, size).tolist() for size in random.integers(0, 12, 40)]
    log, moments = log_of(histories), NOW + random.integers(-3, 90, 40) * 3600
    rows = random.integers(-1, 9, (40, 6))
    days = (0.5, 7.0)
    made = own_history.terms(own_history.past(log, moments, days), rows).values
    for user, start in enumerate(log.offsets[:-1]):
        items, times = (column[start : log.offsets[user + 1]] for column in (log.items, log.times))
        for place, row in enumerate(rows[user]):
            ages = np.maximum(moments[user] - times[items == row], 0) / DAY
            expected = [np.log1p((2 ** (-ages / half_life)).sum()) for half_life in days]
            np.testing.assert_allclose(made[user, place], expected, atol=1e-12)


def test_the_latest_items_that_may_be_listed_join() -> None:
    histories = [[1, 2, 1, 3], [], list(range(own_history.MOST + 5))]
    eligible = np.ones(200, bool)
    eligible[[2, 104]] = False
    rows = own_history.latest(own_history.past(log_of(histories), NOW, ()), 3, eligible)
    assert [row for row in rows[0] if row >= 0] == [3, 1]
    assert (rows[1] == -1).all()
    assert rows[2].tolist() == list(range(103, 103 - own_history.MOST, -1))


def test_each_candidate_stands_once_by_falling_similarity() -> None:
    found = Candidates(np.array([[4, 2, -1]]), np.array([[3.0, 1.0, -np.inf]], np.float32))
    others = np.array([[2, 7, -1, 5]]), np.array([[9.0, 2.0, 9.0, 1.0]], np.float32)
    made = candidates.joined(found, *others)
    assert made.rows.tolist() == [[4, 7, 2, 5, -1, -1, -1]]
    assert made.similarities[0, :4].tolist() == [3, 2, 1, 1]


def repeating(**more: Any) -> ListSettings:
    return ListSettings(candidates=CandidateSettings(repeats=True, **more))


@pytest.mark.parametrize("count", [1, 10])
def test_what_was_had_most_comes_first_however_far_it_lies(made: Made, count: int) -> None:
    settings = repeating(count=count)
    recommender = made(settings=settings, weights=(1.0, 0.0, 0.0, 100.0))
    histories = [[item, (item + 1) % 10, item] for item in range(10)]
    ranked = recommender.lists(log_of(histories), 2)
    assert ranked.rows.tolist() == [[item, (item + 1) % 10] for item in range(10)]
    assert recommender.names == ("similarity", "popularity_1d", "freshness_3d", "own_1d")
    np.testing.assert_allclose(ranked.terms.sum(axis=-1), ranked.scores)


def test_the_similarity_of_what_joins_is_that_of_the_index(made: Made) -> None:
    histories = log_of([[1, 2, 3], [4], [9, 0]])
    every = made(settings=repeating(), events=[5] * 9, learned=(0.3, 0.0)).candidates(histories)
    few = made(settings=repeating(count=1), events=[5] * 9, learned=(0.3, 0.0))
    for user, rows in enumerate(few.candidates(histories).rows):
        places = [every.rows[user].tolist().index(row) for row in rows if row >= 0]
        assert places == sorted(places)
        similar = few.candidates(histories).similarities[user, : len(places)]
        np.testing.assert_allclose(similar, every.similarities[user, places], rtol=1e-5)


def test_newcomers_have_no_such_term(made: Made) -> None:
    recommender = made(settings=repeating(), weights=(1.0, 2.0, 0.0, 9.0), events=[6] * 9)
    ranked = fallback.lists(recommender, ("nobody",), 3)
    assert ranked.rows[0, 0] == 6
    assert not ranked.terms[..., 3].any()


def test_weights_of_users_who_repeat_are_found() -> None:
    random = np.random.default_rng(0)
    histories = [random.integers(0, 30, 6).tolist() for _ in range(300)]
    taken = np.array([history[0] for history in histories])
    rows = np.tile(np.arange(30), (300, 1))
    own = own_history.terms(own_history.past(log_of(histories), NOW, (7.0,)), rows)
    similarities = random.normal(size=rows.shape).astype(np.float32)
    offered = Candidates(rows, similarities, own)
    terms = ItemTerms((), np.zeros((30, 0)), ())
    relevant = row_sets(np.arange(301), taken)
    fitted = reranking.fit(offered, 1.0, terms, relevant, RerankSettings(places=0))
    assert fitted.names == ("similarity", "own_7d")
    assert abs(fitted.weights[0]) < 0.5
    assert fitted.weights[1] > 3


def test_a_model_fitted_without_repeats_says_so(made: Made) -> None:
    recommender = made(settings=repeating(), weights=(1.0, 0.0, 0.0))
    with pytest.raises(MismatchFault, match="other terms"):
        recommender.lists(log_of([[1]]), 2)

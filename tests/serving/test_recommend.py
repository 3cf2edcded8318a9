"""From a model to lists: the same vectors one by one or in blocks; lists that keep the rules."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from recsys.engine import EngineSettings, map_buckets
from recsys.serving import fallback, recommend, vectors
from recsys.serving.candidates import CandidateSettings
from recsys.serving.diversity import DiversitySettings
from recsys.serving.index_settings import IndexSettings
from recsys.serving.recommend import ListSettings, Recommender

NOW = 1_000 * 86_400
Made = Any


@dataclass(frozen=True)
class Log:
    """Histories as arrays."""

    offsets: np.ndarray
    items: np.ndarray
    events: np.ndarray
    times: np.ndarray
    weights: np.ndarray


def log_of(histories: list[list[int]]) -> Log:
    """Views, the last an hour before now, each an hour after the one before."""
    lengths = [len(items) for items in histories]
    ages = np.concatenate([np.arange(n, 0, -1) for n in lengths]) if lengths else np.zeros(0)
    rows = np.array([row for items in histories for row in items], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = NOW - 3600 * ages.astype(np.int64)
    return Log(offsets, rows, np.ones(len(rows), np.int64), times, np.ones(len(rows), np.float32))


def listed(recommender: Recommender, histories: list[list[int]], k: int) -> list[list[int]]:
    rows = recommender.lists(log_of(histories), k).rows
    return [[int(row) for row in user if row >= 0] for user in rows]


def test_users_in_blocks_are_users_one_by_one(made: Made) -> None:
    recommender = made()
    random = np.random.default_rng(0)
    histories = [random.integers(0, 10, size).tolist() for size in random.integers(0, 90, 150)]
    together = vectors.of_users(recommender.model, recommender.item_vectors, log_of(histories), NOW)
    for user, history in enumerate(histories):
        alone = vectors.of_users(
            recommender.model, recommender.item_vectors, log_of([history]), NOW
        )
        np.testing.assert_allclose(together[user], alone[0], atol=1e-5)
    assert (np.linalg.norm(together, axis=1) > 0).tolist() == [len(h) > 0 for h in histories]


VARIED = DiversitySettings(mmr=0.3, calibration=0.3, category_cap=3, price_band=0.5, pool=20)


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
@pytest.mark.parametrize("rules", [DiversitySettings(), VARIED])
@pytest.mark.parametrize("repeats", [False, True])
def test_a_list_does_not_depend_on_who_else_is_listed(
    made: Made, kind: str, rules: DiversitySettings, repeats: bool
) -> None:
    # to the last bit: nights keep the lists of users of whom nothing has changed
    count = CandidateSettings(count=40, repeats=repeats)
    settings = ListSettings(index=IndexSettings(kind=kind), candidates=count, diversity=rules)
    weights = (1.0, 0.3, 0.2, 0.7) if repeats else (1.0, 0.3, 0.2)
    recommender = made(items=300, weights=weights, events=[5] * 9, settings=settings)
    random = np.random.default_rng(0)
    histories = [random.integers(0, 300, size).tolist() for size in random.integers(1, 230, 150)]
    every = recommender.lists(log_of(histories), 10)
    for size in (1, 2, 19, 20, 64, 65, 149):
        some = random.choice(len(histories), size, replace=False)
        alone = recommender.lists(log_of([histories[user] for user in some]), 10)
        for one, other in zip(
            (every.rows, every.scores, every.terms), (alone.rows, alone.scores, alone.terms),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_array_equal(one[some], other)


def test_several_threads_list_as_one_does(made: Made) -> None:
    recommender = made(items=300, weights=(1.0, 0.3, 0.2), events=[5] * 9)
    random = np.random.default_rng(0)
    histories = [random.integers(0, 300, size).tolist() for size in random.integers(1, 230, 200)]
    parts = [log_of(histories[start : start + 5]) for start in range(0, 200, 5)]
    alone, together = (
        list(
            map_buckets(lambda part: recommender.lists(part, 10), parts, EngineSettings(threads=n))
        )
        for n in (1, 8)
    )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_only_the_last_events_count(made: Made) -> None:
    # nothing older than the tower's max_length moves a vector
    recommender = made()
    longest = recommender.model.settings.users.max_length
    recent = (list(range(10)) * longest)[:longest]
    pair = [
        vectors.of_users(recommender.model, recommender.item_vectors, log_of([history]), NOW)
        for history in (recent, [3, 3, 7, *recent])
    ]
    np.testing.assert_allclose(*pair, atol=1e-6)


def test_item_vectors_are_unit_and_whole(made: Made) -> None:
    vectors_of_items = made(items=4100).item_vectors  # more than one block
    np.testing.assert_allclose(np.linalg.norm(vectors_of_items, axis=1), 1, rtol=1e-5)


def test_without_weights_lists_are_by_similarity(made: Made) -> None:
    recommender = made()
    log = log_of([[4, 5]])
    user = vectors.of_users(recommender.model, recommender.item_vectors, log, NOW)
    order = np.argsort(-(recommender.item_vectors @ user[0])).tolist()
    assert listed(recommender, [[4, 5]], 10) == [[row for row in order if row not in (4, 5)]]


def test_what_training_learned_of_trends_is_in_the_model_s_order(made: Made) -> None:
    # score = user . item / temperature + learned . terms, whichever index answers
    events, log = [6] * 50 + [3] * 5, log_of([[4, 5]])
    for kind in ("exact", "hnsw"):
        settings = ListSettings(index=IndexSettings(kind=kind))
        recommender = made(events=events, learned=(0.7, 0.0), settings=settings)
        user = vectors.of_users(recommender.model, recommender.item_vectors, log, NOW)[0]
        popularity = recommender.terms.values[:, 0]
        scores = recommender.item_vectors @ user / 0.1 + 0.7 * popularity
        ranked = recommender.lists(log, 10)
        order = [row for row in np.argsort(-scores) if row not in (4, 5)]
        assert ranked.rows[0, :8].tolist() == order
        np.testing.assert_allclose(ranked.scores[0, :8], scores[order], rtol=1e-4)
        np.testing.assert_allclose(ranked.terms[0, :8, 1], 0.7 * popularity[order], rtol=1e-5)


def test_item_terms_golden(made: Made) -> None:
    # half-life 1 day, 1 added: two events an hour ago count 2 * 2^(-1/24); nothing is known of
    # when items appeared, so that none is fresh
    terms = made(events=[7, 7]).terms
    assert terms.names == ("popularity_1d", "freshness_3d")
    expected = np.full(10, np.log(1.0))
    expected[7] = np.log(2 * 2 ** (-1 / 24) + 1)
    np.testing.assert_allclose(terms.values[:, 0], expected, rtol=1e-5)
    assert not terms.values[:, 1].any()


def test_weights_move_the_popular_item_up(made: Made) -> None:
    recommender = made(events=[6] * 50, weights=(1.0, 100.0, 0.0))
    assert [user[0] for user in listed(recommender, [[4], [5]], 3)] == [6, 6]


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_neither_seen_nor_ineligible(made: Made, kind: str) -> None:
    settings = ListSettings(index=IndexSettings(kind=kind), candidates=CandidateSettings(count=3))
    eligible = [row not in (0, 9) for row in range(10)]
    recommender = made(eligible=eligible, settings=settings, weights=(1.0, 0.5, 1.0))
    histories = [[1], [1, 2, 0], list(range(8)), list(range(10))]
    for history, rows in zip(histories, listed(recommender, histories, 6), strict=True):
        left = {row for row in range(10) if eligible[row]} - set(history)
        assert set(rows) <= left
        # more places than candidates.count: the candidates are as many as the places
        assert len(rows) == min(6, len(left))


def test_a_shelf_is_the_list_without_all_others(made: Made) -> None:
    recommender = made()
    inside = np.zeros(len(recommender.item_vectors), np.bool_)
    inside[[0, 3, 4, 7]] = True
    shelf = recommend.narrowed(recommender, inside)
    histories = [[1, 2], [3], [5, 0]]
    whole = listed(recommender, histories, 10)
    expected = [[row for row in rows if inside[row]] for rows in whole]
    assert listed(shelf, histories, 10) == expected
    assert any(expected)
    assert fallback.lists(shelf, ["new"], 10).rows.max() in (0, 3, 4, 7)


def test_repeats(made: Made) -> None:
    settings = ListSettings(candidates=CandidateSettings(repeats=True))
    assert len(listed(made(settings=settings), [[1, 2, 3]], 10)[0]) == 10


def test_nothing_may_be_listed(made: Made) -> None:
    recommender = made(eligible=[False] * 10)
    assert listed(recommender, [[1]], 5) == [[]]
    assert fallback.lists(recommender, ["u"], 3).rows.tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize(
    ("rules", "added"),
    [
        ({"mmr": 0.5}, ("diversity",)),
        ({"category_cap": 1}, ("diversity",)),
        ({"price_band": 2.0}, ("price_band",)),
        ({"price_band": 2.0, "calibration": 0.3}, ("price_band", "diversity")),
    ],
)
def test_rules_of_variety_add_their_terms(
    made: Made, rules: dict[str, Any], added: tuple[str, ...]
) -> None:
    recommender = made(settings=ListSettings(diversity=DiversitySettings(**rules)))
    assert recommender.names == ("similarity", "popularity_1d", "freshness_3d", *added)
    ranked = recommender.lists(log_of([[4, 5], [0]]), 8)
    assert ranked.terms.shape == (2, 8, 3 + len(added))
    np.testing.assert_allclose(ranked.scores, ranked.terms.sum(axis=-1))
    assert ranked.terms[..., 3:].min() < 0
    assert set(ranked.rows[0]) == set(range(10)) - {4, 5}
    popular = fallback.lists(recommender, ["u"], 3)
    assert popular.terms.shape == (1, 3, 3 + len(added))


def test_a_price_band_lifts_what_lies_below_the_cut(made: Made) -> None:
    # item n costs 2^n: to who takes items 4 and 5, the nearest in price are 3 and 6
    rules = DiversitySettings(price_band=1_000.0, price_quantiles=(0, 1))
    recommender = made(settings=ListSettings(diversity=rules))
    assert set(listed(recommender, [[4, 5]], 2)[0]) == {3, 6}
    assert set(listed(recommender, [[4, 5]], 6)[0]) == {1, 2, 3, 6, 7, 8}

"""Accuracy metrics: golden numbers, a loop as oracle, properties."""

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InputFault
from recsys.evaluation import metrics
from recsys.evaluation.lists import RowSets, row_sets


def sets(*users: list[int]) -> RowSets:
    return row_sets(np.cumsum([0, *map(len, users)]), np.array([*chain(*users)], dtype=np.int64))


def loop(ranked: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """The definitions, word for word, for one user."""
    listed = ranked[:k]
    hits = [row in relevant for row in listed]
    if not relevant:
        return dict.fromkeys(("recall", "hit_rate", "ndcg", "map", "mrr"), math.nan)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(relevant))))
    precisions = [sum(hits[: p + 1]) / (p + 1) for p, hit in enumerate(hits) if hit]
    first = next((p + 1 for p, row in enumerate(ranked) if row in relevant), math.inf)
    return {
        "recall": sum(hits) / len(relevant),
        "hit_rate": float(any(hits)),
        "ndcg": sum(1 / math.log2(p + 2) for p, hit in enumerate(hits) if hit) / ideal,
        "map": sum(precisions) / min(k, len(relevant)),
        "mrr": 1 / first,
    }


def test_golden_user() -> None:
    # List 7 3 9 1; relevant 3, 1, 5. Hits at places 2 and 4.
    # recall@4 = 2/3; hit rate 1; mrr = 1/2; map@4 = (1/2 + 2/4) / 3 = 1/3
    # dcg = 1/log2(3) + 1/log2(5) = .6309 + .4307; ideal = 1 + .6309 + .5 -> .4982
    matches = metrics.match(np.array([[7, 3, 9, 1]]), sets([3, 1, 5]))
    assert metrics.recall_at_k(matches, 4) == pytest.approx([2 / 3])
    assert metrics.hit_rate_at_k(matches, 4) == pytest.approx([1])
    assert metrics.mrr(matches) == pytest.approx([0.5])
    assert metrics.map_at_k(matches, 4) == pytest.approx([1 / 3])
    assert metrics.ndcg_at_k(matches, 4) == pytest.approx([0.49818], abs=1e-5)
    # At 1 there is nothing yet, and the ideal list has one hit only.
    assert metrics.recall_at_k(matches, 1) == pytest.approx([0])
    assert metrics.ndcg_at_k(matches, 1) == pytest.approx([0])


def test_ideal_counts_only_k_places() -> None:
    # Two places, five relevant items: two hits are perfect for ndcg and map, not for recall.
    matches = metrics.match(np.array([[0, 1]]), sets([0, 1, 2, 3, 4]))
    assert metrics.ndcg_at_k(matches, 2) == pytest.approx([1])
    assert metrics.map_at_k(matches, 2) == pytest.approx([1])
    assert metrics.recall_at_k(matches, 2) == pytest.approx([0.4])


def test_user_with_nothing_relevant_has_no_value() -> None:
    values = metrics.accuracy(metrics.match(np.array([[0, 1], [1, 0]]), sets([], [0])), [1, 2])
    assert all(np.isnan(v[0]) and not np.isnan(v[1]) for v in values.values())
    assert {"recall_at_1", "ndcg_at_2", "hit_rate_at_2", "map_at_1", "mrr"} <= values.keys()


def test_repeated_relevant_events_count_once() -> None:
    assert metrics.match(np.array([[4, -1]]), sets([4, 4, 4])).totals.tolist() == [1]


def test_empty_place_is_no_hit_on_row_minus_one_of_the_next_user() -> None:
    # span = 3: user 1's key for -1 equals user 0's key for row 2.
    matches = metrics.match(np.array([[0, 1], [0, -1]]), sets([2], [0]))
    assert matches.hits.tolist() == [[False, False], [True, False]]


def test_no_relevant_items_at_all() -> None:
    assert not metrics.match(np.array([[0], [1]]), sets([], [])).hits.any()


def test_a_repeated_item_is_refused() -> None:
    with pytest.raises(InputFault, match="list of user 1"):
        metrics.match(np.array([[1, 2, 3], [5, 2, 5]]), sets([1], [5]))


def test_lists_shorter_than_k_are_refused() -> None:
    with pytest.raises(InputFault, match="2 places cannot be judged at 3"):
        metrics.recall_at_k(metrics.match(np.array([[1, 2]]), sets([1])), 3)


def test_different_users_are_refused() -> None:
    with pytest.raises(InputFault, match="same users"):
        metrics.match(np.array([[1, 2]]), sets([1], [2]))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    ranked = np.argsort(generator.random((50, 30)), axis=1)[:, :10]
    relevant = sets(*[generator.integers(0, 30, 5).tolist() for _ in range(50)])
    whole = metrics.match(ranked, relevant)
    monkeypatch.setattr(metrics, "USERS_PER_BLOCK", 7)
    assert np.array_equal(metrics.match(ranked, relevant).hits, whole.hits)


cases = st.tuples(
    st.lists(st.integers(0, 15), unique=True, min_size=1, max_size=10),
    st.sets(st.integers(0, 15), max_size=8),
    st.integers(1, 10),
)


@given(st.lists(cases, min_size=1, max_size=5))
def test_equals_the_loop_and_stays_in_range(users: list[tuple[list[int], set[int], int]]) -> None:
    width = max(max(len(ranked), k) for ranked, _, k in users)
    ranked = np.array([r + [-1] * (width - len(r)) for r, _, _ in users])
    matches = metrics.match(ranked, sets(*[sorted(relevant) for _, relevant, _ in users]))
    for place, (listed, relevant, k) in enumerate(users):
        expected = loop(listed, relevant, k)
        found = {
            "recall": metrics.recall_at_k(matches, k)[place],
            "hit_rate": metrics.hit_rate_at_k(matches, k)[place],
            "ndcg": metrics.ndcg_at_k(matches, k)[place],
            "map": metrics.map_at_k(matches, k)[place],
            "mrr": metrics.mrr(matches)[place],
        }
        assert found == pytest.approx(expected, nan_ok=True)
        assert all(math.isnan(v) or 0 <= v <= 1 + 1e-12 for v in found.values())


@given(st.sets(st.integers(0, 30), min_size=1, max_size=10), st.integers(1, 12))
def test_a_perfect_list_scores_one(relevant: set[int], k: int) -> None:
    others = [row for row in range(45) if row not in relevant]
    matches = metrics.match(np.array([[*sorted(relevant), *others]]), sets(sorted(relevant)))
    assert metrics.ndcg_at_k(matches, k) == pytest.approx([1])
    assert metrics.map_at_k(matches, k) == pytest.approx([1])
    assert metrics.mrr(matches) == pytest.approx([1])
    assert metrics.recall_at_k(matches, len(relevant)) == pytest.approx([1])


@given(cases, st.integers(100, 120))
def test_an_irrelevant_item_never_helps(
    case: tuple[list[int], set[int], int], stranger: int
) -> None:
    listed, relevant, _ = case
    k = len(listed) + 1
    before = metrics.match(np.array([[*listed, -1]]), sets(sorted(relevant)))
    in_front = metrics.match(np.array([[stranger, *listed]]), sets(sorted(relevant)))
    behind = metrics.match(np.array([[*listed, stranger]]), sets(sorted(relevant)))
    for name, value in metrics.accuracy(before, [k]).items():
        assert metrics.accuracy(behind, [k])[name] == pytest.approx(value, nan_ok=True)
        assert not metrics.accuracy(in_front, [k])[name] > value


@given(st.permutations(range(6)), st.permutations(range(12)))
def test_names_of_users_and_items_play_no_part(users: list[int], items: list[int]) -> None:
    generator = np.random.default_rng(0)
    ranked = np.argsort(generator.random((6, 12)), axis=1)[:, :5]
    relevant = [generator.integers(0, 12, 4).tolist() for _ in range(6)]
    renamed = [[items[row] for row in relevant[user]] for user in users]
    first = metrics.accuracy(metrics.match(ranked, sets(*relevant)), [3])
    second = metrics.accuracy(metrics.match(np.array(items)[ranked[users]], sets(*renamed)), [3])
    for name, values in first.items():
        assert second[name] == pytest.approx(values[users])

"""The index that tunes itself: at the target, within its memory, cheaper than exact search."""

import itertools
from typing import Any

import numpy as np
import pytest
from unit_vectors import WIDTH, clustered

from recsys.errors import ResourceFault
from recsys.serving import index, index_costs, index_tuning
from recsys.serving.index_settings import IndexSettings

K = 20


@pytest.fixture(scope="module")
def items() -> np.ndarray:
    return clustered(12_000, 1)


def tuned(items: np.ndarray, **settings: object) -> index_tuning.Choice:
    chosen = IndexSettings.model_validate({"kind": "auto", **settings})
    queries = clustered(200, 2)
    return index_tuning.measured(items, np.arange(len(items)), "x", chosen, queries, K)


def test_it_is_cheaper_than_exact_search_and_finds_the_target_for_others(items: np.ndarray) -> None:
    choice = tuned(items, recall=0.95)
    shape = items.shape
    assert choice.index.settings.kind != "exact"
    assert choice.cost < index_costs.cost(IndexSettings(), shape, K)
    others = clustered(1000, 3)
    exact = index.build(items, np.arange(len(items)), "x", IndexSettings())
    truth = exact.search(others, K)[0]
    found = index_tuning.recall(choice.index, truth, others, K)
    assert found.mean() >= 0.95
    assert choice.reached
    assert choice.recall == pytest.approx(found.mean(), abs=0.03)


def test_a_higher_target_costs_more_and_the_highest_is_exact(items: np.ndarray) -> None:
    costs = [tuned(items, recall=recall).cost for recall in (0.8, 0.97)]
    assert costs[0] < costs[1]
    assert tuned(items, recall=1.0).recall >= 0.9999


def test_memory_bounds_what_is_taken(items: np.ndarray) -> None:
    # 12,000 x 15: exact 720 kB, 8-bit codes 180 kB; a megabyte holds all but HNSW
    choice = tuned(np.tile(items, (6, 1)), recall=0.9, memory_mb=2)
    assert choice.index.settings.kind == "sq8"
    with pytest.raises(ResourceFault, match="no index fits"):
        tuned(np.tile(items, (6, 1)), memory_mb=1)


def test_few_items_and_no_queries_are_searched_exactly(items: np.ndarray) -> None:
    assert tuned(items[:500]).index.settings.kind == "exact"
    auto = IndexSettings(kind="auto")
    nobody = np.zeros((0, WIDTH), np.float32)
    choice = index_tuning.measured(items, np.arange(len(items)), "x", auto, nobody, K)
    assert choice.index.settings.kind == "exact"


def test_the_same_inputs_choose_the_same_index(items: np.ndarray) -> None:
    one, other = tuned(items, recall=0.95), tuned(items, recall=0.95)
    assert one.index.settings == other.index.settings
    assert one.recall == other.recall


def test_recall_by_hand() -> None:
    # items (1,0), (0,1), (.9,.1): the two best of (1,0) are rows 0 and 2; rows 0 and 1 are half
    items = np.array([[1, 0], [0, 1], [0.9, 0.1]], np.float32)
    built = index.build(items, np.array([0, 1, 2]), "x", IndexSettings())
    queries = np.array([[1, 0]], np.float32)
    assert index_tuning.recall(built, np.array([[0, 2]]), queries, 2).tolist() == [1]
    assert index_tuning.recall(built, np.array([[0, 1]]), queries, 2).tolist() == [0.5]
    assert index_tuning.recall(built, np.array([[1, -1]]), queries, 2).tolist() == [0]


def test_of_many_items_only_some_are_built(
    items: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, int]] = []
    build = index.build

    def counting(*given: Any, **more: Any) -> index.Index:
        built.append((given[3].kind, given[3].lists))
        return build(*given, **more)

    monkeypatch.setattr(index, "build", counting)
    falling = itertools.count(1000, -1)  # nothing is too dear to be tried
    monkeypatch.setattr(
        index_tuning, "cost", lambda some, *_: 1e9 if some.kind == "exact" else next(falling)
    )
    tuned(items, recall=0.95)
    everything = set(built)
    built.clear()
    monkeypatch.setattr(index_tuning, "MANY", len(items) - 1)
    choice = tuned(items, recall=0.95)
    fewer, lists = int(2 * len(items) ** 0.5), len(items) // 39
    assert {("hnsw", 0), ("ivf", fewer), ("ivf", lists)} <= everything
    assert {kind for kind, _ in built} <= {"ivf", "ivf_pq", "pq", "sq8", "exact"}
    assert {many for kind, many in built if kind.startswith("ivf")} == {lists}
    assert choice.reached


def test_the_exact_best_are_found_a_stretch_at_a_time(
    items: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = clustered(20, 2)
    whole = index_tuning.nearest(items, queries, K)
    monkeypatch.setattr(index_tuning, "STRETCH", 700)
    scores = np.einsum("qd,qkd->qk", queries, items[index_tuning.nearest(items, queries, K)])
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, items[whole]), rtol=1e-6)
    few = index_tuning.nearest(items[:5], queries, K)
    assert (np.sort(few, axis=1) == np.arange(5)).all()

"""A score is the sum of its terms, and weights that were planted are found again."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import InputFault, MismatchFault
from recsys.evaluation.lists import RowSets, row_sets
from recsys.serving import reranking
from recsys.serving.candidates import Candidates
from recsys.serving.reranking import ItemTerms, Reranker, RerankSettings


def candidates(rows: list[list[int]], similarities: list[list[float]]) -> Candidates:
    return Candidates(np.array(rows, np.int64), np.array(similarities, np.float32))


def test_rerank_golden() -> None:
    # temperature 0.5, weights 1 and 2: item 1: 0.4 / 0.5 + 2 * 1 = 2.8; item 0: 0.6 / 0.5 + 0 = 1.2
    terms = ItemTerms(("popularity_1d",), np.array([[0.0], [1.0], [9.0]]), (0.0,))
    reranker = Reranker(("similarity", "popularity_1d"), (1.0, 2.0), RerankSettings())
    found = candidates([[0, 1, -1]], [[0.6, 0.4, -np.inf]])
    ranked = reranking.rerank(found, 0.5, terms, reranker, 3)
    assert ranked.rows.tolist() == [[1, 0, -1]]
    np.testing.assert_allclose(ranked.scores, [[2.8, 1.2, -np.inf]], rtol=1e-6)
    np.testing.assert_allclose(ranked.terms[0, :2], [[0.8, 2.0], [1.2, 0.0]], rtol=1e-6)


def test_equal_scores_stand_in_row_order() -> None:
    terms = ItemTerms((), np.zeros((9, 0)), ())
    found = candidates([[7, 2, 5]], [[0.25, 0.25, 0.25]])
    ranked = reranking.rerank(
        found, 1.0, terms, Reranker(("similarity",), (1.0,), RerankSettings()), 2
    )
    assert ranked.rows.tolist() == [[2, 5]]


def test_terms_and_weights_must_fit() -> None:
    terms = ItemTerms(("freshness",), np.zeros((3, 1)), (0.0,))
    reranker = Reranker(("similarity", "popularity_1d"), (1.0, 2.0), RerankSettings())
    with pytest.raises(MismatchFault, match="other terms"):
        reranking.rerank(candidates([[0]], [[1.0]]), 1.0, terms, reranker, 1)


def test_a_score_that_is_not_a_number() -> None:
    # it would sort first: it must not get that far
    terms = ItemTerms(("freshness",), np.array([[np.nan]]), (0.0,))
    reranker = Reranker(("similarity", "freshness"), (1.0, 1.0), RerankSettings())
    with pytest.raises(InputFault, match="not a number"):
        reranking.rerank(candidates([[0]], [[1.0]]), 1.0, terms, reranker, 1)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9), st.integers(1, 12))
def test_the_score_is_the_sum_of_its_columns(seed: int, users: int, width: int, k: int) -> None:
    random = np.random.default_rng(seed)
    rows = np.stack([random.permutation(12)[:width] for _ in range(users)])
    absent = np.arange(width) >= random.integers(0, width + 1, (users, 1))
    rows = np.where(absent, -1, rows)
    found = Candidates(rows, random.normal(size=rows.shape).astype(np.float32))
    terms = ItemTerms(("a", "b"), random.normal(size=(12, 2)), tuple(random.normal(size=2)))
    reranker = Reranker(("similarity", "a", "b"), tuple(random.normal(size=3)), RerankSettings())
    ranked = reranking.rerank(found, 0.1, terms, reranker, k)
    there = ranked.rows >= 0
    np.testing.assert_array_equal(ranked.terms.sum(axis=-1)[there], ranked.scores[there])
    assert (there.sum(axis=1) == np.minimum(k, (rows >= 0).sum(axis=1))).all()
    assert (ranked.scores[:, 1:] <= ranked.scores[:, :-1]).all()
    for user in range(users):
        assert set(ranked.rows[user][there[user]]) <= set(rows[user])


def planted(weights: np.ndarray, users: int, seed: int) -> tuple[Candidates, ItemTerms, RowSets]:
    """Users choose one of 20 candidates by softmax of the weighted terms."""
    random = np.random.default_rng(seed)
    terms = ItemTerms(("popularity_1d", "freshness"), random.normal(size=(300, 2)), (0.0, 0.0))
    rows = np.stack([random.permutation(300)[:20] for _ in range(users)])
    similarities = random.normal(size=rows.shape).astype(np.float32)
    values = np.concatenate([similarities[..., None] / 0.5, terms.values[rows]], axis=-1)
    logits = values @ weights + random.gumbel(size=rows.shape)
    chosen = np.take_along_axis(rows, logits.argmax(axis=1, keepdims=True), 1)[:, 0]
    return Candidates(rows, similarities), terms, row_sets(np.arange(users + 1), chosen)


def test_planted_weights_are_found() -> None:
    # 8,000 choices; the standard error of a weight is about 0.02
    truth = np.array([0.6, 1.3, -0.4])
    found, terms, chosen = planted(truth, 8000, 0)
    reranker = reranking.fit(found, 0.5, terms, chosen, RerankSettings(prior=0))
    assert reranker.names == ("similarity", "popularity_1d", "freshness")
    np.testing.assert_allclose(reranker.weights, truth, atol=0.07)


def test_fit_is_the_least_of_a_plain_loss() -> None:
    found, terms, chosen = planted(np.array([0.6, 1.3, -0.4]), 60, 1)
    settings = RerankSettings(prior=3, places=0)

    def loss(weights: np.ndarray) -> float:
        total = 0.0
        for user in range(60):
            scores = [
                float(found.similarities[user, n]) / 0.5 * weights[0]
                + terms.values[row] @ weights[1:]
                for n, row in enumerate(found.rows[user])
            ]
            hit = found.rows[user].tolist().index(chosen.rows[user])
            total += np.log(np.exp(scores).sum()) - scores[hit]
        return total + 3 * ((weights - [1, 0, 0]) ** 2).sum()

    fitted = np.array(reranking.fit(found, 0.5, terms, chosen, settings).weights)
    for step in np.concatenate([np.eye(3), -np.eye(3)]) * 0.01:
        assert loss(fitted) < loss(fitted + step)


def test_a_strong_prior_leaves_similarity_alone() -> None:
    found, terms, chosen = planted(np.array([0.6, 1.3, -0.4]), 200, 2)
    weights = reranking.fit(found, 0.5, terms, chosen, RerankSettings(prior=1e9, places=0)).weights
    np.testing.assert_allclose(weights, [1, 0, 0], atol=1e-4)


@pytest.mark.parametrize(("users", "least", "most"), [(5, 0.2, 0.8), (2000, 0.9, 1.1)])
def test_many_users_move_the_weights_and_a_few_hardly_do(
    users: int, least: float, most: float
) -> None:
    way = np.array([-0.4, 1.3, -0.4])  # from the trained weights to the true ones
    moved = []
    for seed in range(8):
        found, terms, chosen = planted(np.array([1.0, 0, 0]) + way, users, seed)
        reranker = reranking.fit(found, 0.5, terms, chosen, RerankSettings(places=0))
        moved.append((np.array(reranker.weights) - [1, 0, 0]) @ way / (way @ way))
    assert least < np.mean(moved) < most


def test_fitting_twice_gives_the_same_bits() -> None:
    found, terms, chosen = planted(np.array([0.6, 1.3, -0.4]), 300, 3)
    one = reranking.fit(found, 0.5, terms, chosen, RerankSettings())
    assert one == reranking.fit(found, 0.5, terms, chosen, RerankSettings())


@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_to_learn_from(enabled: bool) -> None:
    found, terms, _ = planted(np.array([0.6, 1.3, -0.4]), 5, 4)
    nobody = row_sets(np.zeros(6, np.int64), np.zeros(0, np.int64))
    reranker = reranking.fit(found, 0.5, terms, nobody, RerankSettings(enabled=enabled))
    assert reranker.weights == (1.0, 0.0, 0.0)


def test_learned_weights_leave_the_similarity_and_are_where_fitting_starts() -> None:
    # similarity 0.6 over temperature 0.5 is 1.2, of which 0.3 * 2 is the term's: 0.6 is left
    terms = ItemTerms(("freshness",), np.array([[2.0], [0.0]]), (0.3,))
    trained = reranking.as_trained(terms, RerankSettings())
    assert trained.weights == (1.0, 0.3)
    found = candidates([[0, 1]], [[0.6, 0.4]])
    ranked = reranking.rerank(found, 0.5, terms, trained, 2)
    np.testing.assert_allclose(ranked.terms[0], [[0.6, 0.6], [0.8, 0.0]], rtol=1e-6)
    nobody = row_sets(np.zeros(2, np.int64), np.zeros(0, np.int64))
    for chosen in (RerankSettings(), RerankSettings(enabled=False)):
        assert reranking.fit(found, 0.5, terms, nobody, chosen).weights == (1.0, 0.3)


def test_comes_back_from_disk(tmp_path: Path) -> None:
    reranker = Reranker(("similarity", "freshness"), (0.1, -1 / 3), RerankSettings(prior=0.2))
    reranking.write(reranker, tmp_path)
    assert reranking.read(tmp_path) == reranker


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"names": ["a"], "weights": {}})])
def test_a_damaged_file(tmp_path: Path, text: str) -> None:
    (tmp_path / reranking.FILE).write_text(text)
    with pytest.raises(InputFault, match="cannot be read"):
        reranking.read(tmp_path)

"""Weights climb the first places of a list, and go no farther than held-out users confirm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.evaluation.lists import row_sets
from recsys.evaluation.metrics import match, ndcg_at_k, recall_at_k
from recsys.serving.weight_search import Choices, refined


def drawn(users: int, seed: int, sharpness: float = 1.0, terms: int = 3) -> Choices:
    """Each user takes one of 40 candidates by a softmax of the first term alone."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(users, 40, terms))
    logits = sharpness * values[:, :, 0] + random.gumbel(size=(users, 40))
    taken = np.zeros((users, 40), np.bool_)
    taken[np.arange(users), logits.argmax(axis=1)] = True
    return Choices(values, np.zeros_like(taken), taken, np.ones(users, np.int64))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_merit_is_that_of_the_lists(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(4, 12, 2))
    absent = random.random((4, 12)) < 0.3
    absent[:, :5] = False
    taken = (random.random((4, 12)) < 0.3) & ~absent
    taken[:, 0] = True
    totals = taken.sum(axis=1) + random.integers(0, 3, 4)  # some lie outside the candidates
    weights = random.normal(size=2)
    scores = np.where(absent, -np.inf, values @ weights)
    lists = np.argsort(-scores, axis=1)[:, :k]
    users, rows = np.nonzero(taken)
    outside = np.repeat(np.arange(4), totals - taken.sum(axis=1))
    everything = np.concatenate([rows, 100 + np.arange(len(outside))])
    owners = np.concatenate([users, outside])
    order = np.argsort(owners, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=4))])
    judged = match(lists, row_sets(offsets, everything[order]))
    expected = (recall_at_k(judged, k).mean() + ndcg_at_k(judged, k).mean()) / 2
    assert Choices(values, absent, taken, totals).merit(weights, k) == pytest.approx(expected)


def test_climbing_never_lowers_the_merit_and_finds_the_term_that_counts() -> None:
    choices = drawn(400, 0, sharpness=2.0)
    start = np.array([0.3, 1.0, -1.0])
    found = choices.climbed(start, 10)
    assert choices.merit(found, 10) > 2 * choices.merit(start, 10)
    assert abs(found[0]) > 3 * np.abs(found[1:]).max()


def test_bad_weights_are_mended_for_users_who_were_not_asked() -> None:
    start = np.array([0.3, 1.0, -1.0])
    found = refined(drawn(400, 1), start, 10)
    fresh = drawn(4000, 2)
    assert fresh.merit(found, 10) > 1.5 * fresh.merit(start, 10)


def test_good_weights_are_left_nearly_alone() -> None:
    # 40 users, ten terms: climbing them alone fits noise, and lists worse for everybody else
    truth, fresh = np.eye(10)[0], drawn(2000, 99, terms=10)
    best = fresh.merit(truth, 10)
    few = [drawn(40, seed, terms=10) for seed in range(12)]
    climbed = np.mean([fresh.merit(some.climbed(truth, 10), 10) for some in few])
    careful = np.mean([fresh.merit(refined(some, truth, 10), 10) for some in few])
    assert climbed < 0.98 * best
    assert careful > 0.99 * best


def test_the_same_users_give_the_same_bits() -> None:
    start = np.array([1.0, 0.5, 0.5])
    assert (refined(drawn(200, 3), start, 10) == refined(drawn(200, 3), start, 10)).all()


def test_one_user_says_nothing() -> None:
    start = np.array([1.0, 0.5, 0.5])
    assert (refined(drawn(1, 3), start, 10) == start).all()

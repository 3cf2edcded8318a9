"""Exact search in groups: brute force, with what is hidden, and one query as one of many."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.serving import exact
from recsys.serving.exact import Exact


def vectors(count: int, seed: int, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


@settings(max_examples=40)
@given(st.integers(1, 700), st.integers(1, 12), st.integers(0, 1000))
def test_as_brute_force(count: int, k: int, seed: int) -> None:
    items, queries = vectors(count, seed), vectors(7, seed + 1)
    random = np.random.default_rng(seed)
    allowed = random.random(count) < 0.8
    owners = np.repeat(np.arange(7), 2)
    hidden = (owners, random.integers(0, count, 14))
    scores, places = Exact(items).search(queries, min(k, count), allowed, hidden)
    wanted = queries.astype(np.float64) @ items.T.astype(np.float64)
    wanted[:, ~allowed] = -np.inf
    wanted[hidden] = -np.inf
    best = -np.sort(-wanted, axis=1)[:, :k]
    np.testing.assert_allclose(scores, best, rtol=1e-4, atol=1e-5)
    found = np.isfinite(scores)
    np.testing.assert_allclose(
        np.take_along_axis(wanted, places, 1)[found], scores[found], rtol=1e-4, atol=1e-5
    )


def test_a_query_finds_the_same_bits_whoever_else_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    items, queries = vectors(3000, 0, 33), vectors(70, 1, 33)
    monkeypatch.setattr(exact, "QUERIES", 16)
    search = Exact(items)
    together = search.search(queries, 20, None, None)
    for number in (0, 15, 16, 69):
        alone = search.search(queries[number : number + 1], 20, None, None)
        for one, other in zip(alone, together, strict=True):
            assert (one[0] == other[number]).all()


@settings(max_examples=40)
@given(st.integers(1, 700), st.integers(1, 12), st.integers(0, 1000), st.floats(0, 1))
def test_equal_scores_and_few_that_are_allowed(count: int, k: int, seed: int, few: float) -> None:
    random = np.random.default_rng(seed)
    items = random.integers(-1, 2, (count, 3)).astype(np.float32)  # most scores are shared by many
    queries = random.integers(-1, 2, (7, 3)).astype(np.float32)
    allowed = random.random(count) < few
    scores, places = Exact(items).search(queries, min(k, count), allowed, None)
    wanted = np.where(allowed, queries @ items.T, -np.inf)
    np.testing.assert_array_equal(scores, -np.sort(-wanted, axis=1)[:, :k])
    for query, some, found in zip(wanted, places, scores, strict=True):
        there = some[np.isfinite(found)]
        assert len(np.unique(there)) == len(there)
        np.testing.assert_array_equal(query[there], found[np.isfinite(found)])


def both_ways(count: int, k: int, seed: int, device: torch.device) -> None:
    """Torch on a device finds what numpy picks here, up to rounding and among equal scores."""
    items, queries = vectors(count, seed), vectors(70, seed + 1)
    random = np.random.default_rng(seed)
    allowed = random.random(count) < 0.8
    hidden = (np.repeat(np.arange(70), 2), random.integers(0, count, 140))
    here = Exact(items).search(queries, min(k, count), allowed, hidden)
    there = Exact(items, device=device).search(queries, min(k, count), allowed, hidden)
    np.testing.assert_allclose(here[0], there[0], rtol=1e-5, atol=1e-5)
    found = np.isfinite(there[0])
    wanted = queries @ items.T
    np.testing.assert_allclose(
        np.take_along_axis(wanted, there[1], 1)[found], there[0][found], rtol=1e-4, atol=1e-5
    )
    assert allowed[there[1][found]].all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 30), st.integers(0, 1000))
def test_the_search_of_a_device(count: int, k: int, seed: int) -> None:
    both_ways(count, k, seed, torch.device("cpu"))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_search_of_a_gpu() -> None:
    for count, k in ((1, 1), (50, 30), (3000, 20), (200_000, 300)):
        both_ways(count, k, 0, torch.device("cuda"))


def test_a_search_of_a_gpu_goes_on_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    items = vectors(100, 0)
    made = Exact(items, device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    moved = pickle.loads(pickle.dumps(made))
    for one, other in zip(
        moved.search(items[:5], 7, None, None), Exact(items).search(items[:5], 7, None, None),
        strict=True,
    ):  # fmt: skip
        assert (one == other).all()

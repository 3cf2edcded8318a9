"""Nothing seen, blocked or unavailable is ever listed, and the lists are as long as they can be."""

import numpy as np
import pytest

from recsys.evaluation.lists import RowSets, row_sets
from recsys.serving import candidates, index
from recsys.serving.candidates import Candidates
from recsys.serving.index_settings import IndexSettings


def sets(*rows: list[int]) -> RowSets:
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    return row_sets(offsets, np.concatenate([np.array(r, np.int64) for r in rows]))


def oracle(
    vectors: np.ndarray, eligible: np.ndarray, queries: np.ndarray, seen: RowSets, count: int
) -> list[list[int]]:
    """Scores every item of every user, one by one."""
    lists = []
    for user, query in enumerate(queries):
        had = set(seen.rows[seen.offsets[user] : seen.offsets[user + 1]].tolist())
        left = [row for row in eligible if row not in had]
        scores = {row: float(np.float32(query @ vectors[row])) for row in left}
        lists.append(sorted(left, key=lambda row: (-scores[row], row))[:count])
    return lists


def found(made: Candidates) -> list[list[int]]:
    return [[int(row) for row in rows if row >= 0] for rows in made.rows]


def test_golden() -> None:
    # scores of query (1,): item r has 5 - r; items 0 and 3 are not in the index, user 0 saw 1
    vectors = np.array([[5], [4], [3], [2], [1]], np.float32)
    rows = np.array([1, 2, 4])
    built = index.build(vectors[rows], rows, "x", IndexSettings())
    made = candidates.find(built, np.ones((2, 1), np.float32), sets([1, 0], []), None, 2)
    assert made.rows.tolist() == [[2, 4], [1, 2]]
    assert made.similarities.tolist() == [[3, 1], [4, 3]]


def test_what_is_missing_stands_behind_the_last() -> None:
    built = index.build(np.ones((2, 1), np.float32), np.array([3, 9]), "x", IndexSettings())
    made = candidates.find(built, np.ones((1, 1), np.float32), sets([3]), None, 4)
    assert made.rows.tolist() == [[9, -1, -1, -1]]
    assert np.isneginf(made.similarities[0, 1:]).all()


def test_repeats_may_count() -> None:
    built = index.build(np.ones((3, 1), np.float32), np.arange(3), "x", IndexSettings())
    made = candidates.find(built, np.ones((1, 1), np.float32), None, None, 2)
    assert made.rows.tolist() == [[0, 1]]


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_two_hundred_random_catalogues(kind: str) -> None:
    for seed in range(200):
        random = np.random.default_rng(seed)
        count = int(random.integers(1, 120))
        vectors = random.normal(size=(count, 4)).astype(np.float32)
        eligible = np.flatnonzero(random.random(count) < random.random())
        users, k = int(random.integers(1, 12)), int(random.integers(1, 30))
        queries = random.normal(size=(users, 4)).astype(np.float32)
        seen = sets(
            *(random.choice(count, random.integers(0, count + 1), False) for _ in range(users))
        )
        # an approximate index as bad as it gets: one probe, least effort
        chosen = IndexSettings(kind=kind, probes=1, neighbours=2, build_effort=8, search_effort=8)
        built = index.build(vectors[eligible], eligible, "x", chosen)
        exact = candidates.exact_twin(vectors[eligible], built)
        made = candidates.find(built, queries, seen, exact, k)
        for user, listed in enumerate(found(made)):
            had = seen.rows[seen.offsets[user] : seen.offsets[user + 1]]
            left = np.setdiff1d(eligible, had)
            assert len(listed) == len(set(listed)) == min(k, len(left))
            assert set(listed) <= set(left.tolist())
        if kind == "exact":
            assert found(made) == oracle(vectors, eligible, queries, seen, k)
            assert (made.similarities[:, 1:] <= made.similarities[:, :-1]).all()


def test_users_of_very_different_need_do_not_share_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []
    search = index.Index.search

    def counting(
        self: index.Index, queries: np.ndarray, k: int, hidden: RowSets | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        if hidden is None:
            asked.append((len(queries), k))
        return search(self, queries, k, hidden=hidden)

    monkeypatch.setattr(index.Index, "search", counting)
    vectors = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    settings = IndexSettings(kind="ivf", lists=1, probes=1)
    built = index.build(vectors, np.arange(5000), "x", settings)
    seen = sets(*([[1]] * 50), list(range(4000)))
    twin = candidates.exact_twin(vectors, built)
    made = candidates.find(built, vectors[:51], seen, twin, 10)
    assert asked == [(64, 8 + 10), (64, 4096 + 10)]  # blocks are filled up, needs rounded up
    assert (made.rows >= 0).all()

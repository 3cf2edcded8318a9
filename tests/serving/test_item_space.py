"""The item space: measures as brute force has them, filters that still return K or are refused."""

import numpy as np
import polars as pl
import pytest

from recsys.data.histories import Histories
from recsys.errors import InputFault, UsageFault
from recsys.serving import co_consumption, item_space
from recsys.serving.index_settings import IndexSettings
from recsys.serving.item_space import Filters

KINDS = [
    IndexSettings(kind="exact"),
    IndexSettings(kind="ivf", lists=8, probes=1),
    IndexSettings(kind="hnsw", neighbours=4, search_effort=8),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
ITEMS = pl.DataFrame(
    {
        "category": [["mug"], ["mug", "gift"], ["lamp"], [], None],
        "price": [5.0, 20.0, 10.0, None, 30.0],
        "available": [True, True, False, True, True],
    }
)


def vectors(count: int = 300, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)


def space(of: np.ndarray, measure: str = "cosine", **options: object) -> item_space.ItemSpace:
    kind = options.pop("kind", IndexSettings())
    return item_space.build(of, np.arange(len(of)), "x", kind, measure, **options)  # type: ignore[arg-type]


def test_golden() -> None:
    # from (1, 0): cosines with (3, 0), (0, 1), (1, 1) are 1, 0, .7071;
    # distances 2, sqrt 2, 1, and the nearest stands first with the highest score
    of = np.array([[3, 0], [0, 1], [1, 1]], np.float32)
    rows, scores = space(of).nearest(np.array([[1, 0]], np.float32), 3)
    assert rows.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(scores, [[1, 0.70711, 0]], atol=1e-5)
    rows, scores = space(of, "euclidean").nearest(np.array([[1, 0]], np.float32), 3)
    assert rows.tolist() == [[2, 1, 0]]
    np.testing.assert_allclose(scores, [[-1, -(2**0.5), -2]], atol=1e-5)


@pytest.mark.parametrize("measure", ["cosine", "euclidean", "co-consumption"])
def test_as_brute_force(measure: str) -> None:
    of = vectors()
    metric = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    found, scores = space(of, measure, metric=metric).similar(7, 20)
    unit = of / np.linalg.norm(of, axis=1, keepdims=True)
    mapped = unit @ metric
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    want = {
        "cosine": unit @ unit[7],
        "euclidean": -np.linalg.norm(of - of[7], axis=1),
        "co-consumption": mapped @ mapped[7],
    }[measure]
    want[7] = -np.inf  # itself
    assert found.tolist() == np.argsort(-want, kind="stable")[:20].tolist()
    np.testing.assert_allclose(scores, want[found], rtol=1e-3, atol=1e-5)


@each_kind
@pytest.mark.parametrize("share", [0.9, 0.3, 0.05])
def test_filters_still_return_k(kind: IndexSettings, share: float) -> None:
    allowed = np.random.default_rng(2).random(300) < share
    rows, scores = space(vectors(), kind=kind).nearest(vectors(4), 10, allowed)
    assert (rows >= 0).all()
    assert allowed[rows].all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (space(vectors(), kind=kind).nearest(vectors(1), 10, allowed & False)[0] < 0).all()


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (Filters(), [0, 1, 3, 4]),
        (Filters(available=False), [0, 1, 2, 3, 4]),
        (Filters(("mug",)), [0, 1]),
        (Filters(("gift", "lamp"), available=False), [1, 2]),
        (Filters(min_price=5, max_price=20, available=False), [0, 1, 2]),
        (Filters(min_price=5.5), [1, 4]),
    ],
)
def test_what_passes(filters: Filters, kept: list[int]) -> None:
    assert np.flatnonzero(filters.allowed(ITEMS)).tolist() == kept


@pytest.mark.parametrize(
    ("filters", "said"),
    [(Filters(("mugg",)), "such as mug"), (Filters(min_price=3, max_price=2), "3 > 2")],
)
def test_filters_that_cannot_be(filters: Filters, said: str) -> None:
    with pytest.raises(UsageFault, match=said):
        filters.allowed(ITEMS)


def test_a_space_without_items() -> None:
    with pytest.raises(InputFault, match="nobody"):
        item_space.require_some(np.array([], np.int64), "nobody")


def test_pairs_are_of_one_user_and_near_in_time() -> None:
    # users: a sees 1 2 2 3, with a day and more before 3; b sees 4; c sees nothing; d sees 5 6
    history = Histories(
        ("a", "b", "c", "d"),
        np.array([0, 4, 5, 5, 7]),
        np.array([1, 2, 2, 3, 4, 5, 6]),
        np.zeros(7, np.int64),
        np.array([0, 10, 20, 90_000, 90_001, 90_002, 90_003]),
        np.ones(7, np.float32),
    )
    first, second = co_consumption.pairs(history)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 2), (5, 6)]


def test_the_metric_forgets_what_pairs_do_not_share() -> None:
    # items of a pair agree in the first eight numbers, and differ at random in the other eight
    random = np.random.default_rng(3)
    kinds = np.repeat(random.normal(size=(200, 8)), 2, axis=0)
    of = np.concatenate([kinds, random.normal(size=(400, 8))], axis=1).astype(np.float32)
    first = np.arange(0, 300, 2)  # the other pairs are held out
    learned = space(of, "co-consumption", metric=co_consumption.fit(of, first, first + 1))

    def found(near: item_space.ItemSpace) -> float:
        held_out = range(300, 400, 2)
        return float(np.mean([row + 1 in near.similar(row, 1)[0] for row in held_out]))

    assert found(learned) > 0.85
    assert found(space(of)) < 0.35
    assert (co_consumption.fit(of, first[:0], first[:0]) == np.eye(16)).all()

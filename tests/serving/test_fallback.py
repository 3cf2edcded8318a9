"""Popular lists: golden orders, only what may be listed, and ranks that agree with scores."""

from typing import Any

import numpy as np
import polars as pl

from recsys.serving import audit, fallback, release, stored_lists

Made = Any


def popular(recommender: Any, k: int) -> list[int]:
    """The list of somebody of whom nothing is known."""
    rows: list[int] = fallback.lists(recommender, ["anybody"], k).rows[0].tolist()
    return rows


IDS = tuple(f"i{row}" for row in range(10))


def test_by_popularity_where_nothing_was_fitted(made: Made) -> None:
    # events: item 7 three times, 2 twice, 4 once; the rest ties in row order
    recommender = made(events=[7, 7, 7, 2, 2, 4])
    assert popular(recommender, 5) == [7, 2, 4, 0, 1]


def test_by_the_fitted_terms(made: Made) -> None:
    # a negative weight turns the order around
    recommender = made(events=[7, 7, 7, 2, 2, 4], weights=(1.0, -1.0, 0.0))
    assert popular(recommender, 10) == [0, 1, 3, 5, 6, 8, 9, 4, 2, 7]


def test_only_what_may_be_listed(made: Made) -> None:
    eligible = [row not in (7, 0) for row in range(10)]
    recommender = made(events=[7, 7, 2], eligible=eligible)
    assert popular(recommender, 3) == [2, 1, 3]
    every = fallback.table(recommender, IDS, pl.Series([["a"]] * 10), 10)
    assert not set(every["item_id"]) & {"i7", "i0"}


def test_table_golden(made: Made) -> None:
    recommender = made(events=[7, 7, 7, 2, 2, 4])
    categories = pl.Series([["b"] if row % 2 else ["a", "c"] for row in range(10)])
    table = fallback.table(recommender, IDS, categories, 2)
    assert table.select("category", "rank", "item_id").rows() == [
        (None, 1, "i7"),
        (None, 2, "i2"),
        ("a", 1, "i2"),
        ("a", 2, "i4"),
        ("b", 1, "i7"),
        ("b", 2, "i1"),
        ("c", 1, "i2"),
        ("c", 2, "i4"),
    ]


def test_ranks_agree_with_scores_to_the_last_bit(made: Made) -> None:
    # sums in another order differ in the last bit and would fail the gate "a score rises"
    random = np.random.default_rng(0)
    for seed in range(30):
        events = random.integers(0, 40, 200).tolist()
        recommender = made(items=40, events=events, weights=(0.3, 0.1 * (seed + 1) / 3, 0.7))
        ranked = fallback.lists(recommender, ["u1", "u2"], 40)
        ids = tuple(str(row) for row in range(40))
        names = recommender.names
        frame = release.popular_frame(["u1", "u2"], ranked, names, ids)
        assert audit.problems(stored_lists.of([frame.lazy()])) == []
        terms = frame.select(f"term_{name}" for name in names).to_numpy().sum(axis=1)
        np.testing.assert_allclose(frame["score"].to_numpy(), terms, rtol=1e-12)
        assert set(frame["source"]) == {"popular"}

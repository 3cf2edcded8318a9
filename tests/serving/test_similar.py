"""Similar items against brute force over the item vectors."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.serving import similar
from recsys.serving.index_settings import IndexSettings
from recsys.serving.recommend import ListSettings

Made = Any


def frame(recommender: Any, ids: list[str], k: int) -> pl.DataFrame:
    return pl.concat(similar.frames(recommender, pl.Series(ids), np.arange(len(ids)), k))


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_as_brute_force(made: Made, kind: str) -> None:
    settings = ListSettings(index=IndexSettings(kind=kind))
    eligible = [row % 3 > 0 for row in range(30)]
    recommender = made(items=30, eligible=eligible, settings=settings, learned=(2.0, 1.0))
    ids = [f"i{row:02}" for row in range(30)]
    found = frame(recommender, ids, 4)
    vectors = recommender.item_vectors
    want = []
    for row in range(30):
        scores = vectors @ vectors[row]
        near = [other for other in np.argsort(-scores) if eligible[other] and other != row][:4]
        want += [(ids[row], rank, ids[other]) for rank, other in enumerate(near, 1)]
    assert found.select("item_id", "rank", "similar_item_id").rows() == want
    assert found["score"].is_between(-1.0001, 1.0001).all()


def test_none_asked_for(made: Made) -> None:
    assert frame(made(), list("abcdefghij"), 0).is_empty()


def test_more_asked_for_than_there_are(made: Made) -> None:
    found = frame(made(), list("abcdefghij"), 50)
    assert found.group_by("item_id").len()["len"].to_list() == [9] * 10


def test_items_follow_each_other_as_asked(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "BLOCK", 7)
    recommender, ids = made(items=30), pl.Series([f"i{row}" for row in range(30)])
    order = np.random.default_rng(0).permutation(30)
    found = pl.concat(similar.frames(recommender, ids, order, 3))
    assert found["item_id"].unique(maintain_order=True).to_list() == ids.gather(order).to_list()
    assert found.sort("item_id", "rank").equals(
        frame(recommender, ids.to_list(), 3).sort("item_id", "rank")
    )


def test_exact_search_fills_what_an_index_leaves_short(made: Made) -> None:
    few = IndexSettings(kind="ivf", lists=5, probes=1)
    recommender = made(items=300, settings=ListSettings(index=few))
    ids = [f"i{row}" for row in range(300)]
    assert frame(recommender, ids, 150).group_by("item_id").len()["len"].to_list() == [150] * 300

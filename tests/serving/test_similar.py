"""Similar items against brute force over the item vectors."""

from typing import Any

import numpy as np
import pytest

from recsys.serving import similar
from recsys.serving.index_settings import IndexSettings
from recsys.serving.recommend import ListSettings

Made = Any


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_as_brute_force(made: Made, kind: str) -> None:
    settings = ListSettings(index=IndexSettings(kind=kind))
    eligible = [row % 3 > 0 for row in range(30)]
    recommender = made(items=30, eligible=eligible, settings=settings, learned=(2.0, 1.0))
    ids = tuple(f"i{row:02}" for row in range(30))
    frame = similar.frame(recommender, ids, 4)
    vectors = recommender.item_vectors
    want = []
    for row in range(30):
        scores = vectors @ vectors[row]
        near = [other for other in np.argsort(-scores) if eligible[other] and other != row][:4]
        want += [(ids[row], rank, ids[other]) for rank, other in enumerate(near, 1)]
    assert frame.select("item_id", "rank", "similar_item_id").rows() == want
    assert frame["score"].is_between(-1.0001, 1.0001).all()


def test_none_asked_for(made: Made) -> None:
    assert similar.frame(made(), tuple("abcdefghij"), 0).is_empty()


def test_more_asked_for_than_there_are(made: Made) -> None:
    frame = similar.frame(made(), tuple("abcdefghij"), 50)
    assert frame.group_by("item_id").len()["len"].to_list() == [9] * 10

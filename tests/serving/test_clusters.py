"""Clusters of planted kinds, their names, near duplicates, and what sells by cluster."""

import numpy as np
import pytest

from recsys.serving import clusters, index, item_space
from recsys.serving.index_settings import IndexSettings

DAY = 86_400


def test_planted_kinds_are_found_again_and_named() -> None:
    random = np.random.default_rng(0)
    kinds = np.arange(90) % 3
    vectors = np.eye(3, 8)[kinds] * 4 + random.normal(size=(90, 8)) * 0.5
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    owners, centres = index.clustered(vectors, 3, seed=0)
    assert len({(kind, owner) for kind, owner in zip(kinds, owners, strict=True)}) == 3
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, rtol=1e-5)
    again, _ = index.clustered(vectors, 3, seed=0)
    assert (owners == again).all()
    texts = [("a red boat", "a red guitar", "the red wolf")[kind] for kind in kinds]
    names = clusters.names(texts, owners, 3)
    assert [names[owner].split(", ")[0] for owner in owners[:3]] == ["boat", "guitar", "wolf"]


def test_clusters_without_a_word_have_a_number() -> None:
    assert clusters.names(["", "the"], np.array([0, 1]), 2) == ["cluster 0", "cluster 1"]
    assert clusters.names(["boat", ""], np.array([0, 1]), 2) == ["boat", "cluster 1"]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_near_duplicates_stand_once_each(kind: str) -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    vectors[30] = vectors[4]
    vectors[41] = vectors[7] + 0.05
    space = item_space.build(vectors, np.arange(50), "x", IndexSettings(kind=kind))  # type: ignore[arg-type]
    found = clusters.duplicates(space, 0.98)
    assert found.select("row", "other").rows() == [(4, 30), (7, 41)]
    assert found["score"][0] == pytest.approx(1, abs=1e-5)


def test_trends_golden() -> None:
    # cluster 0: items 0, 1; cluster 1: item 2; now is day 20. Item 0 has 3 events in the last week
    # and 2 in the week before, item 1 one long ago; item 2 has none before now
    items = np.array([0, 0, 0, 0, 0, 1, 2])
    times = np.array([19, 18, 14, 12, 7, 1, 21]) * DAY
    table = clusters.trends(np.array([0, 0, 1]), items, times, 20 * DAY)
    assert table.to_dicts() == [
        {"cluster": 0, "items": 2, "events": 6, "recent": 3, "growth": 0.5, "never": 0,
         "tail": pytest.approx(1 / 6)},
        {"cluster": 1, "items": 1, "events": 0, "recent": 0, "growth": None, "never": 1,
         "tail": None},
    ]  # fmt: skip

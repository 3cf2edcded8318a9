"""Item neighbours against numbers by hand, and in blocks."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys.evaluation import item_knn
from recsys.evaluation.item_knn import fit_item_knn


def test_golden(tell: Callable) -> None:
    # Item 0: users 0 1 2; item 1: users 0 1 (twice, counts once); item 2: user 2. Shrinkage 1.
    # s01 = 2 / (sqrt(3 * 2) + 1) = .57980; s02 = 1 / (sqrt(3) + 1) = .36603; s12 = 0.
    fitted = fit_item_knn(tell([0, 1, 1], [0, 1], [2, 0]), 3, shrinkage=1.0)
    expected = [[0, 0.57980, 0.36603], [0.57980, 0, 0], [0.36603, 0, 0]]
    assert fitted.similarity.toarray() == pytest.approx(np.array(expected), abs=1e-5)


def test_neighbours_are_kept_per_scored_item(tell: Callable) -> None:
    # With one neighbour, item 2 keeps item 0 although item 0 prefers item 1.
    fitted = fit_item_knn(tell([0, 1, 1], [0, 1], [2, 0]), 3, neighbours=1, shrinkage=1.0)
    expected = [[0, 0.57980, 0.36603], [0.57980, 0, 0], [0, 0, 0]]
    assert fitted.similarity.toarray() == pytest.approx(np.array(expected), abs=1e-5)


def test_blocks_change_nothing(tell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    histories = tell(*[generator.integers(0, 40, 9).tolist() for _ in range(60)])
    whole = fit_item_knn(histories, 40, neighbours=5).similarity.toarray()
    monkeypatch.setattr(item_knn, "CELLS_PER_BLOCK", 120)
    assert np.array_equal(fit_item_knn(histories, 40, neighbours=5).similarity.toarray(), whole)


def test_an_item_nobody_had_has_no_neighbours_without_shrinkage(tell: Callable) -> None:
    similarity = fit_item_knn(tell([0, 1]), 3, shrinkage=0.0).similarity.toarray()
    assert np.isfinite(similarity).all()
    assert similarity[2].sum() == similarity[:, 2].sum() == 0

"""From stores to item features: several pictures of an item, averaged or kept apart."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines import encode
from recsys.features.store import Store

ITEMS = pl.DataFrame(
    {"image_hash": [["a", "b", "c"], [], ["d"], ["lost"], ["b", "lost"]]},
    schema={"image_hash": pl.List(pl.String)},
)


def store() -> Store:
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    return Store(Path(), "x", 2, {key: row for row, key in enumerate("abcd")}, vectors)


def test_several_pictures_are_averaged() -> None:
    vectors, present = encode._vectors(store(), "image", ITEMS, 1)
    # a, b, c are (0, 1), (2, 3), (4, 5); d is (6, 7)
    assert vectors.tolist() == [[2, 3], [0, 0], [6, 7], [0, 0], [2, 3]]
    assert present.tolist() == [True, False, True, False, True]


def test_several_pictures_are_kept_apart_where_attention_pools_them() -> None:
    vectors, present = encode._vectors(store(), "image", ITEMS, 2)
    nan = np.nan
    expected = [
        [[0, 1], [2, 3]], [[nan] * 2] * 2, [[6, 7], [nan] * 2], [[nan] * 2] * 2,
        [[2, 3], [nan] * 2],
    ]  # fmt: skip
    np.testing.assert_array_equal(vectors, np.array(expected))
    assert present.tolist() == [True, False, True, False, True]


def test_one_picture_an_item_needs_no_pooling() -> None:
    vectors, _ = encode._vectors(store(), "image", ITEMS[[2, 3]], 8)
    assert vectors.shape == (2, 2)

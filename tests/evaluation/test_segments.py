"""Segments: each partition holds everybody once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InputFault
from recsys.evaluation.segments import (
    SegmentSettings,
    item_segments,
    modality_segments,
    user_segments,
)


def test_golden_borders() -> None:
    settings = SegmentSettings(short_history=10, long_tail=20)
    users = user_segments(np.array([0, 1, 10, 11]), settings)
    assert users["user_new"].tolist() == [True, False, False, False]
    assert users["user_short"].tolist() == [False, True, True, False]
    assert users["user_long"].tolist() == [False, False, False, True]
    items = item_segments(np.array([0.0, 1, 19, 20]), settings)
    assert items["item_new"].tolist() == [True, False, False, False]
    assert items["item_long_tail"].tolist() == [False, True, True, False]
    assert items["item_warm"].tolist() == [False, False, False, True]


def test_golden_modalities() -> None:
    present = np.array([[True, True], [True, False], [False, False]])
    segments = modality_segments(["text", "image"], present)
    assert {name: mask.tolist() for name, mask in segments.items()} == {
        "item_with_text": [True, True, False],
        "item_without_text": [False, False, True],
        "item_with_image": [True, False, False],
        "item_without_image": [False, True, True],
        "item_only_text_image": [True, False, False],
        "item_only_text": [False, True, False],
        "item_only_nothing": [False, False, True],
    }


def test_names_must_fit() -> None:
    with pytest.raises(InputFault, match="do not fit"):
        modality_segments(["text"], np.zeros((3, 2), bool))


@given(st.lists(st.integers(0, 60), min_size=1), st.integers(1, 40), st.integers(1, 40))
def test_partitions(numbers: list[int], short: int, tail: int) -> None:
    settings = SegmentSettings(short_history=short, long_tail=tail)
    for parts in (
        user_segments(np.array(numbers), settings),
        item_segments(np.array(numbers, float), settings),
    ):
        assert (np.sum(list(parts.values()), axis=0) == 1).all()


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1))
def test_patterns_partition(present: list[tuple[bool, bool, bool]]) -> None:
    segments = modality_segments(["text", "image", "video"], np.array(present))
    patterns = [mask for name, mask in segments.items() if name.startswith("item_only_")]
    assert (np.sum(patterns, axis=0) == 1).all()

"""Ids to rows and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.vocabulary import Vocabulary


def test_golden() -> None:
    vocabulary = Vocabulary(["007", "7", "b"])
    assert vocabulary.rows(["7", "x", "007"]).tolist() == [1, -1, 0]
    assert vocabulary.names([2, 0]) == ["b", "007"]


def test_a_negative_row_has_no_id() -> None:
    with pytest.raises(IndexError):
        Vocabulary(["a"]).names([-1])


@given(st.lists(st.text(max_size=8), unique=True, max_size=30))
def test_rows_invert_names(ids: list[str]) -> None:
    vocabulary = Vocabulary(ids)
    assert vocabulary.names(vocabulary.rows(ids)) == ids


def test_the_checksum_knows_order_and_boundaries() -> None:
    sums = {Vocabulary(ids).checksum for ids in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""])}
    assert len(sums) == 4

"""Sets of rows: sorted, distinct, cut into blocks, restricted to segments."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InputFault
from recsys.evaluation.lists import RowSets, row_sets


def as_lists(sets: RowSets) -> list[list[int]]:
    return [sets.rows[a:b].tolist() for a, b in zip(sets.offsets, sets.offsets[1:], strict=False)]


def test_golden() -> None:
    # User 0: 5 2 5 -> 2 5; user 1 has none; user 2: 0.
    sets = row_sets(np.array([0, 3, 3, 4]), np.array([5, 2, 5, 0]))
    assert as_lists(sets) == [[2, 5], [], [0]]
    assert sets.sizes().tolist() == [2, 0, 1]
    assert sets.users().tolist() == [0, 0, 2]
    assert as_lists(sets.block(1, 3)) == [[], [0]]
    odd = np.arange(6) % 2 == 1
    assert as_lists(sets.restrict(odd)) == [[5], [], []]


@given(st.lists(st.lists(st.integers(0, 20), max_size=6), min_size=1, max_size=6))
def test_equals_python_sets(users: list[list[int]]) -> None:
    offsets = np.cumsum([0, *map(len, users)])
    sets = row_sets(offsets, np.array([*chain(*users)], dtype=np.int64))
    assert as_lists(sets) == [sorted(set(user)) for user in users]
    even = np.arange(21) % 2 == 0
    assert as_lists(sets.restrict(even)) == [sorted({r for r in u if r % 2 == 0}) for u in users]


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 1], [0, 2, 1, 2]])
def test_bad_offsets_are_refused(offsets: list[int]) -> None:
    with pytest.raises(InputFault, match="offsets do not describe"):
        row_sets(np.array(offsets, dtype=np.int64), np.array([1, 2]))


def test_negative_rows_are_refused() -> None:
    with pytest.raises(InputFault, match="negative item row"):
        row_sets(np.array([0, 2]), np.array([1, -1]))

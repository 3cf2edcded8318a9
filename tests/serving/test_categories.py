"""Category codes lead back to the names, and a taste is the mix that a plain count gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.serving import categories

NAMES = st.lists(st.lists(st.sampled_from("abcd"), max_size=5), min_size=1, max_size=8)


def test_golden() -> None:
    # item 0 is a toy and a book, item 1 nothing, item 2 a book, named twice
    known = categories.categorised([["toy", "book"], [], ["book", "book"]])
    assert known.names == ("book", "toy")
    assert known.offsets.tolist() == [0, 2, 2, 3]
    assert known.codes.tolist() == [0, 1, 0]
    codes, shares = known.of_rows(np.array([[2, 0], [1, -1]]))
    assert codes.tolist() == [[[0, 2], [0, 1]], [[2, 2], [2, 2]]]
    assert shares.tolist() == [[[1, 0], [0.5, 0.5]], [[0, 0], [0, 0]]]


def test_tastes_golden() -> None:
    # user 0 had item 0 (half book, half toy) and item 2 (book): 1.5 and 0.5 of 2; user 1 had
    # nothing; user 2 only an item of no category
    known = categories.categorised([["toy", "book"], [], ["book"]])
    found = categories.tastes(np.array([0, 2, 2, 3]), np.array([0, 2, 1]), known)
    assert found.tolist() == [[0.75, 0.25], [0, 0], [0, 0]]


def test_no_categories_at_all() -> None:
    known = categories.categorised([[], []])
    assert categories.tastes(np.array([0, 1]), np.array([1]), known).shape == (1, 0)


@given(NAMES)
def test_codes_lead_back_to_the_names(lists: list[list[str]]) -> None:
    known = categories.categorised(lists)
    codes, shares = known.of_rows(np.arange(len(lists)))
    for row, names in enumerate(lists):
        there = [known.names[code] for code in codes[row] if code < len(known.names)]
        assert there == sorted(set(names))
        np.testing.assert_allclose(shares[row].sum(), 1 if names else 0)


@given(NAMES, st.lists(st.lists(st.integers(0, 7), max_size=6), max_size=5))
def test_tastes_are_a_plain_count(lists: list[list[str]], histories: list[list[int]]) -> None:
    histories = [[row % len(lists) for row in history] for history in histories]
    known = categories.categorised(lists)
    offsets = np.cumsum([0, *(len(history) for history in histories)])
    rows = np.array([row for history in histories for row in history], np.int64)
    found = categories.tastes(offsets, rows, known)
    assert found.shape == (len(histories), len(known.names))
    for user, history in enumerate(histories):
        mix = dict.fromkeys(known.names, 0.0)
        for row in history:
            for name in set(lists[row]):
                mix[name] += 1 / len(set(lists[row]))
        total = sum(mix.values()) or 1.0
        np.testing.assert_allclose(found[user], [mix[name] / total for name in known.names])

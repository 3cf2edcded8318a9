"""Spans after the making of lists; each wanted item counts once, in the span of its first time."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recsys.evaluation import staleness
from recsys.evaluation.lists import RowSets, row_sets
from recsys.evaluation.staleness import StalenessSettings

HOUR = 3_600
MADE = 1_000 * HOUR
DAYS = StalenessSettings(edges_hours=(24, 48, 96))


@dataclass(frozen=True)
class Done:
    """Events as arrays."""

    offsets: np.ndarray
    items: np.ndarray
    times: np.ndarray
    weights: np.ndarray


def done_of(users: list[list[tuple[float, int]]]) -> Done:
    """Events from (hours after the making, item)."""
    events = [event for user in users for event in user]
    times = np.array([MADE + hours * HOUR for hours, _ in events], np.int64)
    items = np.array([item for _, item in events], np.int64)
    offsets = np.cumsum([0, *map(len, users)])
    return Done(offsets, items, times, np.ones(len(events), np.float32))


def sets_of(sets: RowSets) -> list[list[int]]:
    return [part.tolist() for part in np.split(sets.rows, sets.offsets[1:-1])]


@pytest.mark.parametrize(
    ("until_hours", "expected"),
    [
        (200, {"hours_0_24": 24, "hours_24_48": 24, "hours_48_96": 48}),
        (96, {"hours_0_24": 24, "hours_24_48": 24, "hours_48_96": 48}),
        (60, {"hours_0_24": 24, "hours_24_48": 24, "hours_48_60": 12}),
        (48, {"hours_0_24": 24, "hours_24_48": 24}),
        (1.5, {"hours_0_1.5": 1.5}),
        (0, {}),
    ],
)
def test_spans_end_with_the_log(until_hours: float, expected: dict[str, float]) -> None:
    found = staleness.spans(MADE, MADE + round(until_hours * HOUR), DAYS)
    lengths = {span.name: (span.stop_seconds - span.start_seconds) / HOUR for span in found}
    assert lengths == expected


@pytest.mark.parametrize("edges", [(0, 24), (24, 24), (48, 24), (-1,), ()])
def test_edges_must_ascend(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        StalenessSettings(edges_hours=edges)


@pytest.mark.parametrize(
    ("repeats", "expected"),
    [
        # user 0 did item 7 in the first span and again in the second; item 8 exactly at its edge
        (False, [[[7], []], [[8], [7]], [[], []]]),
        (True, [[[7], []], [[7, 8], [7]], [[], [7]]]),
    ],
)
def test_golden_relevant_items(repeats: bool, expected: list[list[list[int]]]) -> None:
    done = done_of([[(0, 7), (24, 8), (25, 7), (47.9, 8), (96, 1)], [(30, 7), (50, 7)]])
    every = staleness.spans(MADE, MADE + 96 * HOUR, DAYS)
    found = staleness.relevant_by_span(done, every, repeats=repeats)
    assert [sets_of(sets) for sets in found] == expected


def test_golden_recall() -> None:
    # first span: one of two found; second: user 0 has none, user 1 finds the one that is wanted
    every = staleness.spans(MADE, MADE + 48 * HOUR, DAYS)
    relevant = [
        row_sets(np.array([0, 2, 2]), np.array([1, 5])),
        row_sets(np.array([0, 0, 1]), np.array([4])),
    ]
    lists = [np.array([[1, 2], [3, 4]]), np.array([[1, 2], [4, 3]])]
    found = staleness.judged(lists, relevant, every, (1, 2)).per_user
    assert list(found) == [
        "recall_at_1/hours_0_24", "recall_at_2/hours_0_24",
        "recall_at_1/hours_24_48", "recall_at_2/hours_24_48",
    ]  # fmt: skip
    np.testing.assert_equal(found["recall_at_2/hours_0_24"], [0.5, np.nan])
    np.testing.assert_equal(found["recall_at_1/hours_24_48"], [np.nan, 1])


events = st.lists(st.tuples(st.integers(0, 110), st.integers(0, 5)), max_size=12)


@given(st.lists(events, min_size=1, max_size=4), st.booleans())
def test_relevant_items_are_those_of_a_slow_loop(
    users: list[list[tuple[int, int]]], repeats: bool
) -> None:
    every = staleness.spans(MADE, MADE + 96 * HOUR, DAYS)
    found = staleness.relevant_by_span(done_of(users), every, repeats=repeats)
    for number, span in enumerate(every):
        for user, told in enumerate(users):
            inside = {i for hours, i in told if span.from_hours <= hours < span.to_hours}
            before = {i for hours, i in told if hours < span.from_hours}
            wanted = inside if repeats else inside - before
            assert sets_of(found[number])[user] == sorted(wanted)

"""Histories: order, slices, and what selecting and cutting keep."""

import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import memory
from recsys.data import histories, partition, pieces
from recsys.data.histories import Histories
from recsys.vocabulary import Vocabulary

Event = tuple[str, str, int]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
START_SECONDS = int(START.timestamp())
ITEMS = Vocabulary(["a", "b", "c"])


def log(events: list[Event], kind: str = "view") -> pl.DataFrame:
    """Interactions from (user, item, second); their order is the sequence."""
    return pl.DataFrame(
        {
            "user_id": [user for user, _, _ in events],
            "item_id": [item for _, item, _ in events],
            "timestamp": [START + datetime.timedelta(seconds=second) for *_, second in events],
            "event": [kind] * len(events),
            "weight": [1.0] * len(events),
            "sequence": list(range(len(events))),
        },
        schema={
            "user_id": pl.String,
            "item_id": pl.String,
            "timestamp": pl.Datetime("us", "UTC"),
            "event": pl.String,
            "weight": pl.Float64,
            "sequence": pl.Int64,
        },
    )


def told(found: Histories) -> dict[str, list[tuple[int, int]]]:
    """(item row, second) of each user's events."""
    return {
        user: list(
            zip(
                found.items[start:stop].tolist(),
                (found.times[start:stop] - START_SECONDS).tolist(),
                strict=True,
            )
        )
        for user, start, stop in zip(
            found.user_ids, found.offsets[:-1], found.offsets[1:], strict=True
        )
    }


def test_build_by_hand() -> None:
    # u2 comes first in the file, and u1's two events of second 5 keep their order (c, then a).
    frame = log([("u2", "b", 9), ("u1", "c", 5), ("u1", "a", 5), ("u1", "b", 1)])
    found = histories.build(frame, ITEMS, ["view"])
    assert told(found) == {"u1": [(1, 1), (2, 5), (0, 5)], "u2": [(1, 9)]}
    assert found.offsets.tolist() == [0, 3, 4]
    assert len(found) == 2
    assert [array.dtype for array in (found.items, found.events, found.times, found.weights)] == [
        np.int32, np.int16, np.int64, np.float32,
    ]  # fmt: skip


def test_events_are_coded_by_their_sorted_names() -> None:
    frame = pl.concat([log([("u", "a", 1)], "view"), log([("u", "a", 2)], "cart")])
    frame = pl.concat([frame, log([("u", "a", 3)], "gone")])
    found = histories.build(frame, ITEMS, ["view", "purchase", "cart"])
    assert found.events.tolist() == [3, 1, 0]  # cart 1, purchase 2, view 3; unknown 0


def test_unknown_items_go_and_their_users_stay() -> None:
    found = histories.build(log([("u", "x", 1), ("v", "a", 2)]), ITEMS, ["view"])
    assert told(found) == {"u": [], "v": [(0, 2)]}


def test_fractions_of_a_second_are_cut_off() -> None:
    frame = log([("u", "a", 1)]).with_columns(pl.col("timestamp") + pl.duration(milliseconds=999))
    assert histories.build(frame, ITEMS, ["view"]).times.tolist() == [START_SECONDS + 1]
    early = frame.with_columns(
        pl.lit(datetime.datetime(1969, 12, 31, 23, 59, 59, 1, datetime.UTC)).alias("timestamp")
    )
    assert histories.build(early, ITEMS, ["view"]).times.tolist() == [-1]


def test_nothing_at_all() -> None:
    found = histories.build(log([]), ITEMS, ["view"])
    assert (len(found), found.offsets.tolist()) == (0, [0])
    assert histories.counts(found, 3).tolist() == [0, 0, 0]
    assert told(histories.select(found, ["u"])) == {"u": []}


def test_select_keeps_the_asked_order() -> None:
    found = histories.build(
        log([("u", "a", 1), ("v", "b", 2), ("w", "c", 3), ("w", "a", 4)]), ITEMS, ["view"]
    )
    chosen = histories.select(found, ["w", "nobody", "u"])
    assert told(chosen) == {"w": [(2, 3), (0, 4)], "nobody": [], "u": [(0, 1)]}
    assert told(histories.select(found, [])) == {}


def test_counts_by_hand() -> None:
    found = histories.build(log([("u", "a", 1), ("u", "a", 2), ("v", "c", 3)]), ITEMS, ["view"])
    assert histories.counts(found, 4).tolist() == [2, 0, 1, 0]


def test_last_refuses_negative_numbers() -> None:
    with pytest.raises(ValueError, match="negative"):
        histories.last(histories.build(log([]), ITEMS, ["view"]), -1)


events_strategy = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcd"), st.integers(0, 5)), max_size=30
)


@given(events_strategy, st.integers(0, 6), st.integers(0, 4))
def test_against_plain_lists(events: list[Event], cut: int, count: int) -> None:
    expected: dict[str, list[tuple[int, int]]] = {
        user: [] for user in sorted({e[0] for e in events})
    }
    for user, item, second in sorted(events, key=lambda event: event[2]):  # Python's sort is stable
        if item in ITEMS:
            expected[user].append(("abc".index(item), second))
    found = histories.build(log(events), ITEMS, ["view"])
    assert told(found) == expected
    assert told(histories.before(found, START_SECONDS + cut)) == {
        user: [event for event in theirs if event[1] < cut] for user, theirs in expected.items()
    }
    assert told(histories.last(found, count)) == {
        user: theirs[max(0, len(theirs) - count) :] for user, theirs in expected.items()
    }
    back = list(reversed(found.user_ids))
    assert told(histories.select(found, back)) == expected


@given(events_strategy, st.randoms(use_true_random=False))
def test_the_order_of_the_files_rows_does_not_matter(events: list[Event], random: object) -> None:
    frame = log(events)
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=random.randrange(100))  # type: ignore[attr-defined]
    one, other = (histories.build(rows, ITEMS, ["view"]) for rows in (frame, mixed))
    assert told(one) == told(other)


def test_blocks_put_together_are_the_whole() -> None:
    whole = histories.build(log([("u", "a", 1), ("v", "b", 2), ("v", "c", 3)]), ITEMS, ["view"])
    parts = [histories.block(whole, start, start + 1) for start in range(2)]
    assert [part.user_ids for part in parts] == [("u",), ("v",)]
    assert [part.offsets.tolist() for part in parts] == [[0, 1], [0, 2]]
    assert np.concatenate([part.items for part in parts]).tolist() == whole.items.tolist()
    assert histories.block(whole, 1, 9).times.tolist() == whole.times[1:].tolist()


@given(events_strategy, st.integers(1, 4))
def test_a_log_put_together_from_its_buckets_is_the_log(events: list[Event], count: int) -> None:
    frame = log(events)
    whole = histories.build(frame, ITEMS, ["view"])
    parts = [histories.build(part, ITEMS, ["view"]) for part in partition.split(frame, count)]
    found = histories.together(parts)
    assert found.user_ids == whole.user_ids
    for name in ("offsets", "items", "events", "times", "weights"):
        one, other = getattr(found, name), getattr(whole, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_users_without_events_can_be_left_out() -> None:
    found = histories.build(log([("u", "x", 1), ("v", "a", 2), ("w", "x", 3)]), ITEMS, ["view"])
    left = histories.active(found)
    assert told(left) == {"v": [(0, 2)]}
    assert histories.active(left) is left


@pytest.mark.parametrize("together", [1, 7, 1000])
def test_a_log_that_lies_on_disk_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(memory, "SMALL", 1)
    monkeypatch.setattr(pieces, "EVENTS", together)
    random = np.random.default_rng(together)
    rows = [(f"u{user}", "abcd"[item], int(second)) for user, item, second in
            zip(random.integers(0, 9, 60), random.integers(0, 4, 60),
                random.integers(0, 99, 60), strict=True)]  # fmt: skip
    parts = [
        histories.build(log([row for row in rows if int(row[0][1]) % 3 == bucket]), ITEMS, ["view"])
        for bucket in range(3)
    ]
    plain, aside = histories.together(parts), histories.together(iter(parts), tmp_path)
    users = np.array([4, -1, 0, 4])
    for change in (
        lambda found: found,
        lambda found: histories.before(found, START_SECONDS + 50),
        lambda found: histories.active(histories.before(found, START_SECONDS + 10)),
        lambda found: histories.of(found, users),
        lambda found: histories.of(histories.last(found, 2), users),
    ):
        one, other = change(plain), change(aside)
        assert one.user_ids == other.user_ids
        for name in ("offsets", "items", "events", "times", "weights"):
            values = getattr(other, name)
            assert values.tolist() == getattr(one, name).tolist()
            assert values.dtype == getattr(one, name).dtype
            if name != "offsets":
                assert isinstance(values.base.base, memoryview)  # of a file
                assert values.flags.aligned
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_put_together_from_nothing() -> None:
    with pytest.raises(ValueError, match="no histories"):
        histories.together([])

"""Splits: which event goes where, and what is refused."""

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import settings
from recsys.data import histories, splits, windows
from recsys.data.histories import Histories
from recsys.data.splits import DAY_SECONDS, Split, SplitSettings, check_no_leak
from recsys.errors import UsageFault
from recsys.vocabulary import Vocabulary

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
START_SECONDS = int(START.timestamp())
WEEKS = SplitSettings(validation_days=7, test_days=7)
MOVIELENS = Path(__file__).parents[3] / "shared/data/movielens-1m/interactions.parquet"


def log(events: list[tuple[str, float]]) -> pl.DataFrame:
    """Interactions from (user, day); item and sequence are the number of the row."""
    return pl.DataFrame(
        {
            "user_id": [user for user, _ in events],
            "item_id": [str(row) for row in range(len(events))],
            "timestamp": [START + datetime.timedelta(days=day) for _, day in events],
            "event": ["view"] * len(events),
            "weight": [1.0] * len(events),
            "sequence": range(len(events)),
        },
        schema_overrides={
            "user_id": pl.String,
            "item_id": pl.String,
            "event": pl.String,
            "weight": pl.Float64,
            "timestamp": pl.Datetime("us", "UTC"),
            "sequence": pl.Int64,
        },
    )


def split(frame: pl.DataFrame, settings: SplitSettings) -> Split:
    """The split of a log whose items are the numbers of its rows."""
    items = Vocabulary([str(row) for row in range(frame.height)])
    return splits.split(histories.build(frame, items, ["view"]), settings)


def parts(found: Split) -> dict[int, int]:
    """The part of each row of the log, by its number."""
    pairs = zip(found.events.items.tolist(), found.parts.tolist(), strict=True)
    return dict(sorted(pairs))


def rows(of: Histories) -> list[int]:
    """The rows of the log that are in histories, in their order."""
    return of.items.tolist()


def test_global_time_by_hand() -> None:
    # End: just after day 20. Test from day 13 (+ 1 s), validation from day 6 (+ 1 s).
    frame = log([("u", 0), ("u", 6), ("v", 6.5), ("v", 13), ("u", 13.5), ("w", 20)])
    found = split(frame, WEEKS)
    assert parts(found) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
    assert found.test_seconds == START_SECONDS + 13 * DAY_SECONDS + 1
    test = found.window(2)
    assert rows(test.history) == [0, 1, 2, 3]
    assert rows(test.relevant) == [4, 5]
    assert test.at_seconds == found.test_seconds
    validation = found.window(1)
    assert rows(validation.history) == [0, 1]
    assert rows(validation.relevant) == [2, 3]


def test_a_stated_end_leaves_later_events_out() -> None:
    frame = log([("u", 0), ("u", 1), ("u", 2), ("u", 2.5), ("u", 3)])
    chosen = SplitSettings(end="2026-01-04", validation_days=1, test_days=1)
    found = split(frame, chosen)
    assert parts(found) == {0: 0, 1: 1, 2: 2, 3: 2}  # day 3 begins at the end
    assert found.left_out == 1
    same = split(frame, chosen.model_copy(update={"end": "2026-01-04T02:00+02:00"}))
    assert same.end_seconds == found.end_seconds


def test_an_event_at_a_cut_belongs_to_the_later_part() -> None:
    frame = log([("u", 0), ("u", 1), ("u", 2), ("u", 2.9)])
    found = split(frame, SplitSettings(end="2026-01-04", validation_days=1, test_days=1))
    assert parts(found) == {0: 0, 1: 1, 2: 2, 3: 2}
    close = frame.with_columns(pl.col("timestamp") - pl.duration(microseconds=1))
    found = split(close, SplitSettings(end="2026-01-04", validation_days=1, test_days=1))
    assert parts(found) == {0: 0, 1: 0, 2: 1, 3: 2}


def test_leave_one_out_is_stable() -> None:
    # All of u's events share one second: the file's order decides. v has too few events.
    frame = log([("u", 5), ("u", 5), ("v", 1), ("u", 5), ("v", 2), ("u", 5)])
    found = split(frame, SplitSettings(kind="leave_one_out"))
    assert parts(found) == {0: 0, 1: 0, 2: 0, 3: 1, 4: 0, 5: 2}
    assert rows(found.window(2).history) == [0, 1, 3, 2, 4]
    assert rows(found.window(2).relevant) == [5]
    assert rows(found.window(1).relevant) == [3]
    mixed = split(
        frame.sample(fraction=1, shuffle=True, seed=3), SplitSettings(kind="leave_one_out")
    )
    assert parts(mixed) == parts(found)


def test_random_split_takes_a_tenth_of_each_user_twice() -> None:
    frame = log([("u", day) for day in range(29)] + [("v", 1), ("v", 2), ("v", 3), ("w", 1)])
    found = split(frame, SplitSettings(kind="random_80_10_10"))
    of = [np.bincount(part, minlength=3).tolist() for part in np.split(found.parts, [29, 32])]
    assert of == [[25, 2, 2], [1, 1, 1], [1, 0, 0]]  # u, v, w
    again = split(frame.reverse(), SplitSettings(kind="random_80_10_10"))
    assert parts(again) == parts(found)
    other = split(frame, SplitSettings(kind="random_80_10_10", seed=1))
    assert parts(other) != parts(found)
    assert set(rows(found.window(2).history)) == {
        row for row, part in parts(found).items() if part == 0
    }


def test_only_two_parts_are_windows() -> None:
    with pytest.raises(ValueError, match="not 0"):
        split(log([("u", 0), ("u", 8), ("u", 20)]), SplitSettings()).window(0)


@pytest.mark.parametrize(
    ("days", "chosen", "named"),
    [
        ([0, 1, 2], {}, "training, validation"),
        ([0, 20], {}, "validation"),
        ([0, 1, 2, 30], {"end": "2026-01-20"}, "validation, test"),
        ([0, 10, 20], {"end": "2027-01-01"}, "validation, test"),
        ([0, 10, 20], {"end": "2025-01-01"}, "training, validation, test"),
        ([0, 1], {"kind": "leave_one_out"}, "validation, test"),
        ([0, 1], {"kind": "random_80_10_10"}, "validation, test"),
    ],
)
def test_an_empty_part_is_named(days: list[float], chosen: dict[str, str], named: str) -> None:
    weeks = WEEKS.model_dump() | chosen
    with pytest.raises(UsageFault, match=f"nothing for {named}\n") as fault:
        split(log([("u", day) for day in days]), SplitSettings.model_validate(weeks))
    assert fault.value.fix
    assert "split." in fault.value.where


DAY = 86_400


def visits(users: np.ndarray, seconds: np.ndarray) -> Histories:
    """Histories of users, by their codes, with an event at each of the seconds."""
    order = np.lexsort((seconds, users))
    codes, sizes = np.unique(users, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    nothing = np.zeros(len(users), np.int32)
    names = tuple(map(str, codes))
    weights = np.ones(len(users), np.float32)
    return Histories(names, offsets, nothing, nothing, seconds[order].astype(np.int64), weights)


BUSY = [minute * 60 for minute in range(20_000)]  # 14 days, 1,440 events a day
THIN = [BUSY[-1] + 10 * DAY * ten for ten in range(1, 41)]


@pytest.mark.parametrize(
    ("seconds", "days"),
    [
        pytest.param([DAY * day for day in range(100)], 7, id="a week holds a twentieth of 100"),
        pytest.param([DAY * day for day in range(200)], 10, id="200: a twentieth takes ten days"),
        pytest.param(BUSY, 1, id="a log of two weeks: a day holds enough"),
        pytest.param([s // 100 for s in BUSY], 1, id="a log of hours: a day at least"),
        pytest.param([*BUSY, *THIN], 401, id="a thin tail: until enough of the busy days"),
        pytest.param([0, 8 * DAY, 20 * DAY], 2, id="three events"),
        pytest.param([], 7, id="none"),
    ],
)
def test_windows_are_as_long_as_it_takes(seconds: list[int], days: int) -> None:
    moments = np.array(seconds, np.int64)
    end = int(moments.max(initial=0)) + 1
    assert windows.days(visits(np.zeros_like(moments), moments), end) == days


@pytest.mark.parametrize(
    ("every", "people", "days"),
    [
        pytest.param(12, 60, 10, id="all who ever come back do so within ten days"),
        pytest.param(12, 140, 12, id="eight a day: a hundred after twelve"),
        pytest.param(50, 590, 10, id="ten come back, and no more within thirty days"),
        pytest.param(40_000, 1, 10, id="nobody comes back"),
    ],
)
def test_windows_hold_users_with_a_history(every: int, people: int, days: int) -> None:
    # 300 days of 100 events, each of somebody who comes once, but every so many of a few people in
    # turn; ten days hold a thousand events, thirty a tenth of all
    number = np.arange(30_000)
    users = np.where(number % every == 0, number // every % people, 1_000 + number)
    assert windows.days(visits(users, number // 100 * DAY), 300 * DAY) == days


@pytest.mark.parametrize(("life", "days"), [(1, 1), (2, 1), (4, 3), (6, 5), (16, 7), (80, 7)])
def test_windows_are_short_where_items_are(life: int, days: int) -> None:
    # 90 days of 1,200 events of twenty regulars, spread over the items of the last `life` days: of
    # a window of d days, (1 + ... + d) / (d * life) are with items that appeared within it
    number = np.arange(108_000)
    day = number // 1_200
    log = visits(number % 20, day * DAY + 3600)
    items = day - number // 20 % life + life
    in_order = np.lexsort((number, number % 20))
    log = replace(log, items=items[in_order].astype(np.int32))
    assert windows.days(log, 90 * DAY) == days


def test_windows_that_nobody_stated_are_chosen_one_after_the_other() -> None:
    events = [("u", day / 4) for day in range(800)]  # 200 days; a twentieth of 800 is ten days
    found = split(log(events), SplitSettings())
    assert found.validation_seconds is not None
    assert found.test_seconds is not None
    assert found.end_seconds - found.test_seconds == 10 * DAY
    assert found.test_seconds - found.validation_seconds == 10 * DAY
    stated = split(log(events), SplitSettings(test_days=3))
    assert stated.end_seconds - (stated.test_seconds or 0) == 3 * DAY


def test_no_events() -> None:
    with pytest.raises(UsageFault, match="no events"):
        split(log([]), SplitSettings())


@pytest.mark.parametrize(
    "bad",
    [
        "split.end=2026-3-1",
        "split.end=2026-03-01T06:00",
        "split.end=yesterday",
        "split.test_days=-1",
        "split.validation_days=-1",
        "split.kind=random",
    ],
)
def test_k10_settings_that_make_no_sense(bad: str) -> None:
    class All(settings.Section):
        split: SplitSettings = SplitSettings()

    with pytest.raises(UsageFault, match=bad.partition("=")[0]):
        settings.load(All, None, [bad])


def test_k07_a_leak_is_named() -> None:
    window = split(log([("u", 0), ("u", 8), ("u", 20)]), WEEKS).window(2)
    check_no_leak(window.at_seconds - 1, window, "test")
    with pytest.raises(UsageFault, match=r"leak: .* test window") as fault:
        check_no_leak(window.at_seconds, window, "test")
    assert "2026-01-14" in str(fault.value)


users_and_days = st.lists(
    st.tuples(st.sampled_from("uvw"), st.floats(0, 30, allow_nan=False)), min_size=1, max_size=40
)


@given(users_and_days, st.sampled_from(["global_time", "leave_one_out", "random_80_10_10"]))
def test_nothing_leaks_and_nothing_is_lost(events: list[tuple[str, float]], kind: str) -> None:
    frame = log(events)
    try:
        found = split(frame, SplitSettings.model_validate({"kind": kind}))
    except UsageFault:
        return
    assert sorted(rows(found.events)) == sorted(frame["sequence"])
    for part in (1, 2):
        window = found.window(part)
        known, relevant = set(rows(window.history)), set(rows(window.relevant))
        assert relevant
        assert not known & relevant
        if kind == "global_time":
            cut = window.at_seconds
            assert window.history.times.max(initial=0) < cut <= window.relevant.times.min()
        if kind == "leave_one_out":
            keys = {row: (time, row) for row, time in frame.select("sequence", "timestamp").rows()}
            owner = dict(frame.select("sequence", "user_id").rows())
            assert all(
                keys[row] < keys[target]
                for target in relevant
                for row in known
                if owner[row] == owner[target]
            )


@pytest.mark.skipif(not MOVIELENS.exists(), reason="../shared/data/movielens-1m is absent")
def test_movielens_leave_one_out_targets_are_the_last_rows_of_each_user() -> None:
    frame = pl.read_parquet(MOVIELENS).with_row_index("sequence").cast({"user_id": pl.String})
    frame = frame.with_columns(
        pl.col("sequence").cast(pl.String).alias("item_id"), event=pl.lit("view"), weight=1.0
    )
    found = split(frame, SplitSettings(kind="leave_one_out"))
    test = found.window(2).relevant
    assert len(test) == len(test.items) == 6040
    # the published order: a stable sort of the file by time, last row a user
    last = frame.sort("timestamp", maintain_order=True).group_by("user_id").last().sort("user_id")
    assert rows(test) == last["sequence"].to_list()

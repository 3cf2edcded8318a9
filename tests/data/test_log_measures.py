"""What is measured of a log on a day: each number by an example worked out by hand."""

import datetime

import numpy as np
import polars as pl
import pytest

from recsys.data import log_measures

NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
AT = int(NOW.timestamp())
DAY = datetime.timedelta(days=1)
ITEMS = pl.DataFrame({"item_id": ["a", "b"], "category": [["x"], ["y"]]})


def log(*rows: tuple[str, str, float, str]) -> pl.DataFrame:
    """Events as (user, item, days before the moment, kind)."""
    return pl.DataFrame(
        [(user, item, NOW - days * DAY, event) for user, item, days, event in rows],
        schema={"user_id": pl.String, "item_id": pl.String,
                "timestamp": pl.Datetime("us", "UTC"), "event": pl.String},
        orient="row",
    )  # fmt: skip


def daily(*counts: int, event: str = "view") -> pl.DataFrame:
    """So many events a day, today first, each of its own user."""
    return log(*(
        (f"u{day}-{number}", "ab"[number % 2], day + (number + 0.5) / count, event)
        for day, count in enumerate(counts)
        for number in range(count)
    ))  # fmt: skip


def test_amounts_and_age() -> None:
    past = log(("u1", "a", 0.5, "view"), ("u1", "b", 3, "view"), ("u2", "a", 2, "view"))
    found = log_measures.of_log([past], ITEMS, AT, fewest=3)
    assert found["events"] == 3
    assert found["learners"] == 1
    assert found["newest_age_hours"] == 12
    assert found["largest_user_share"] == pytest.approx(2 / 3)
    assert not {"largest_user_share_of_many", "largest_item_share_of_day"} & set(found)


def test_an_empty_log() -> None:
    assert log_measures.of_log([log()], ITEMS, AT, 1) == {"events": 0, "learners": 0}


def test_too_few_events_for_shares() -> None:
    past = log(("u1", "a", 0.5, "view"), ("u1", "b", 3, "view"))
    assert "largest_user_share" not in log_measures.of_log([past], ITEMS, AT, fewest=3)


def test_one_item_of_the_day() -> None:
    past = log(
        *((f"u{n}", "a" if n < 3 else "b", 0.5, "view") for n in range(4)), ("u", "b", 2, "view")
    )
    assert log_measures.of_log([past], ITEMS, AT, 4)["largest_item_share_of_day"] == 0.75
    assert "largest_item_share_of_day" not in log_measures.of_log([past], ITEMS, AT, 5)


def test_the_first_and_the_last_moment_of_a_day() -> None:
    second = 1 / 86_400
    past = log(("u1", "a", second, "view"), ("u2", "a", 1, "view"), ("u3", "b", 1 + second, "view"))
    found = log_measures.of_log([past], ITEMS, AT, 1)
    assert found["largest_item_share_of_day"] == 1  # two events of a; b lies in the day before


def test_one_user_among_many() -> None:
    past = log(*((f"u{n}", "a", 2, "view") for n in range(1000)), *[("u1", "b", 3, "view")] * 9)
    assert log_measures.of_log([past], ITEMS, AT, 20)["largest_user_share_of_many"] == 10 / 1009


@pytest.mark.parametrize(
    ("today", "before", "expected"),
    [
        (100, [100] * 7, 1.0),
        (30, [100] * 7, 0.3),
        (400, [100] * 7, 4.0),
        (0, [100] * 7, 0.0),
        # the days differ by a standard deviation of 20: that much is no sign
        (50, [80, 120, 80, 120, 100, 80, 120], 0.7),
        (0, [80, 120, 80, 120, 100, 80, 120], 0.0),
        (90, [80, 120, 80, 120, 100, 80, 120], 1.0),
        (150, [80, 120, 80, 120, 100, 80, 120], 1.3),
        (100, [100] * 6, None),
        (100, [0] * 7, None),
    ],
)
def test_outlying_days(today: float, before: list[float], expected: float | None) -> None:
    found = log_measures.outlying(today, np.array(before, float))
    assert found == (None if expected is None else pytest.approx(expected))


def test_weekdays_are_compared_with_weekdays() -> None:
    week = [50.0, 100, 100, 100, 100, 100, 50]  # yesterday first; today a week ago last
    assert log_measures.outlying(50, np.array(week * 4)) == 1
    assert log_measures.outlying(10, np.array(week * 4)) == pytest.approx(0.2)
    assert log_measures.outlying(50, np.array(week * 4 + [999.0] * 7)) == 1


def test_days_by_kind_of_event() -> None:
    past = pl.concat([daily(*[40] * 9), daily(0, *[25] * 8, event="cart")])
    found = log_measures.of_log([past], ITEMS, AT, 20)
    assert found["daily/view"] == 1
    assert found["daily/cart"] == 0
    assert found["daily/all"] == pytest.approx(40 / 65)
    assert "daily/cart" not in log_measures.of_log([past], ITEMS, AT, 30)  # 25 a day are too few


def test_drift_of_the_last_week() -> None:
    before = log(*((f"u{n}", "ab"[n % 2], 8 + n / 400, "view") for n in range(4000)))
    alike = log(*((f"v{n}", "ab"[n % 2], n / 400 + 0.01, "view") for n in range(2000)))
    other = alike.with_columns(item_id=pl.lit("a"), event=pl.lit("cart"))
    same = log_measures.of_log([pl.concat([before, alike])], ITEMS, AT, 20)
    moved = log_measures.of_log([pl.concat([before, other])], ITEMS, AT, 20)
    assert same["drift/category"] < 0.001
    assert moved["drift/category"] > 1
    assert moved["drift/event"] > 1
    # few events differ by chance
    few = log_measures.of_log([pl.concat([before, other.head(100)])], ITEMS, AT, 20)
    assert "drift/category" not in few


@pytest.mark.parametrize("parts", [2, 7, 400])
def test_a_log_in_parts_is_the_log(parts: int) -> None:
    past = pl.concat([daily(*[20] * 40), daily(*[30] * 40, event="cart")])
    whole = log_measures.of_log([past], ITEMS, AT, 20)
    assert {"daily/cart", "daily/all", "drift/event", "largest_item_share_of_day"} <= set(whole)
    cut = past.with_columns(part=pl.col("user_id").hash() % parts).partition_by("part")
    assert log_measures.of_log(cut, ITEMS, AT, 20) == whole
    assert log_measures.of_log([], ITEMS, AT, 20) == {"events": 0, "learners": 0}

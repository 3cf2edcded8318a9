"""The audit: planted faults are found, a healthy log passes."""

import datetime
import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.summary import audit, gini

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def log(users: Any, items: Any, seconds: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"i{item}" for item in items],
            "timestamp": [START + datetime.timedelta(seconds=int(second)) for second in seconds],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC"), "user_id": pl.String},
    )


def shop(count: int, **columns: list[Any]) -> pl.DataFrame:
    every: dict[str, list[Any]] = {
        "item_id": [f"i{item}" for item in range(count)],
        "created_at": [None] * count,
        "text": [f"text {item}" for item in range(count)],
        "text_hash": [f"{item}" for item in range(count)],
        **{name: [["x"]] * count for name in ("image", "video", "audio")},
        "image_hash": [[f"{item}"] for item in range(count)],
        **columns,
    }
    media = dict.fromkeys(("image", "video", "audio", "image_hash"), pl.List(pl.String))
    return pl.DataFrame(
        every,
        schema_overrides={
            "created_at": pl.Datetime("us", "UTC"),
            "text": pl.String,
            "text_hash": pl.String,
            **media,
        },
    )


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {finding["name"]: finding["verdict"] for finding in found["findings"]}


def value(found: dict[str, Any], name: str) -> Any:
    return next(finding["value"] for finding in found["findings"] if finding["name"] == name)


def test_by_hand() -> None:
    # u0: i0 at 1, i0 at 1 (a tie and a repeat), i1 at 2. u1: i0 at 3. i2, i3 never.
    tomorrow = START + datetime.timedelta(days=1)
    items = shop(4, image=[["x"], [], [], []], created_at=[None, tomorrow, None, None])
    found = audit(log([0, 0, 0, 1], [0, 0, 1, 0], [1, 1, 2, 3]), items)
    assert (found["events"], found["users"], found["items"]) == (4, 2, 4)
    assert (found["oldest"], found["newest"]) == ("2026-01-01T00:00:01Z", "2026-01-01T00:00:03Z")
    assert value(found, "events_per_user")["share_below_two"] == 0.5
    assert value(found, "events_per_item")["share_never_seen"] == 0.5
    assert value(found, "equal_times") == 0.5
    assert value(found, "repeats") == 0.25
    assert value(found, "largest_user") == 0.75
    assert value(found, "before_creation") == 0.25
    assert value(found, "with_image") == {"of_items": 0.25, "of_events": 0.75}
    # counts 3, 1, 0, 0: mean absolute difference of all 16 pairs / (2 x mean 1) = 20/16 / 2
    assert value(found, "popularity") == {"gini": 0.625, "share_of_top_percent": 0.75}
    json.dumps(found)
    assert "u0" not in json.dumps(found)


def test_a_healthy_log_passes() -> None:
    random = np.random.default_rng(0)
    users, count = 2000, 60_000
    frame = log(np.arange(count) % users, random.integers(0, 5000, count), np.arange(count))
    assert set(verdicts(audit(frame, shop(5000))).values()) == {"ok"}


@pytest.mark.parametrize(
    ("name", "frame", "items"),
    [
        ("amount", log([1, 1], [0, 1], [0, 1]), shop(2)),
        ("events_per_user", log([1, 2], [0, 1], [0, 1]), shop(2)),
        ("events_per_item", log([1, 1], [0, 0], [0, 1]), shop(9)),
        ("popularity", log([1, 1], [0, 0], [0, 1]), shop(100)),
        ("largest_user", log([1, 1], [0, 1], [0, 1]), shop(2)),
        ("equal_times", log([1, 1], [0, 1], [5, 5]), shop(2)),
        ("repeats", log([1, 1], [0, 0], [0, 1]), shop(2)),
        ("before_creation", log([1], [0], [0]), shop(1, created_at=[START.replace(year=2027)])),
        ("with_video", log([1, 1, 1], [0, 1, 2], [0, 1, 2]), shop(3, video=[["x"], [], []])),
        ("same_text", log([1], [0], [0]), shop(10, text_hash=["0"] * 2 + list("23456789"))),
        ("same_image", log([1], [0], [0]), shop(10, image_hash=[["0"]] * 10)),
    ],
)
def test_planted_faults_are_found(name: str, frame: pl.DataFrame, items: pl.DataFrame) -> None:
    found = audit(frame, items)
    assert verdicts(found)[name] == "warn"
    assert all(len(finding["means"]) > 40 for finding in found["findings"])


def test_an_absent_modality_is_no_fault() -> None:
    found = audit(log([1], [0], [0]), shop(1, video=[[]]))
    assert verdicts(found)["with_video"] == "ok"


def test_nothing_at_all() -> None:
    found = audit(log([], [], []), shop(0))
    assert (found["events"], found["newest"]) == (0, None)
    json.dumps(found)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_gini_against_all_pairs(amounts: list[int]) -> None:
    pairs = sum(abs(one - other) for one in amounts for other in amounts)
    total = sum(amounts)
    expected = pairs / (2 * len(amounts) * total) if total else 0.0
    assert gini(np.array(amounts)) == pytest.approx(expected)

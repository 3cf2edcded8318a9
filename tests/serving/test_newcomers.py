"""Segments of newcomers: golden and slow-loop lifts, and lists that follow them."""

from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.data import histories, pieces
from recsys.data.histories import Histories
from recsys.serving import audit, fallback, newcomers, release, stored_lists
from recsys.serving.newcomers import NewcomerSettings
from recsys.vocabulary import Vocabulary

Made = Any
USERS = pl.DataFrame({
    "user_id": ["a", "b", "c", "new", "odd"],
    "country": ["FR", "FR", "US", "FR", None],
    "tags": [["x"], None, None, None, None],
})  # fmt: skip
CALM = NewcomerSettings(strength=1.0)


def had(who: list[str], what: list[int]) -> Histories:
    """Histories of these users with these items, one event after the other."""
    items = Vocabulary([str(item) for item in range(10)])
    times = pl.Series([0] * len(who)).cast(pl.Datetime("us", "UTC"))
    log = {"user_id": who, "item_id": [str(item) for item in what], "timestamp": times}
    frame = pl.DataFrame(log).with_columns(event=pl.lit("view"), weight=1.0)
    return histories.build(frame, items, ["view"])


def fitted(users: pl.DataFrame = USERS, settings: NewcomerSettings = CALM) -> newcomers.Newcomers:
    # a and b (FR) choose item 0 twice and 1 once; c (US) item 1; a stranger item 2
    past = had(["a", "b", "b", "c", "stranger"], [0, 0, 1, 1, 2])
    found = newcomers.fit(users, past, 4, settings)
    assert found is not None
    return found


def test_golden_lifts() -> None:
    segments = fitted()
    combinations, member = segments.groups(["new", "odd", "nobody", "a"])
    french, unknown = combinations[member[0]], combinations[member[1]]
    assert member[1] == member[2]
    assert member[0] == member[3]
    # France has 3 of 4 events: of item 0 two where 1.5 are expected, of item 1 one where 1.5 are
    expected = [log(3 / 2.5), log(2 / 2.5), 0, 0]
    np.testing.assert_allclose(segments.lift(french), expected)
    np.testing.assert_array_equal(segments.lift(unknown), 0)


@pytest.mark.parametrize("together", [7, 1000])
def test_a_slow_loop_finds_the_same(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "EVENTS", together)
    random = np.random.default_rng(3)
    users = pl.DataFrame({
        "user_id": [f"u{n}" for n in range(40)],
        "age": random.integers(10, 90, 40),  # many values: ten bands
        "child": random.random(40) < 0.3,
        "town": [f"t{n % 7}" for n in random.integers(0, 50, 40)],
    })  # fmt: skip
    who, what = random.integers(0, 40, 500), random.integers(0, 6, 500)
    past = had([f"u{n}" for n in who], what.tolist())
    found = newcomers.fit(users, past, 6, NewcomerSettings(strength=7.0))
    assert found is not None
    combinations, member = found.groups(["u5"])
    wanted = np.zeros(6)
    for column in range(3):
        code = found.people.codes[:, column]
        inside = [item for user, item in zip(who, what, strict=True) if code[user] == code[5]]
        for item in range(6):
            share = (what == item).mean()
            wanted[item] += log((inside.count(item) + 7) / (len(inside) * share + 7))
    np.testing.assert_allclose(found.lift(combinations[member[0]]), wanted)
    assert len(set(found.people.codes[:, 0])) == 10


def test_rare_values_make_no_segment() -> None:
    found = fitted(settings=NewcomerSettings(most_values=1))
    assert found.people.codes[:, 0].tolist() == [0, 0, -1, 0, -1]  # France is the most frequent


@pytest.mark.parametrize(
    ("users", "settings"),
    [
        (USERS.select("user_id"), CALM),
        (USERS.select("user_id", "tags"), CALM),
        (USERS, NewcomerSettings(segments=False)),
        (USERS, NewcomerSettings(columns=("region",))),
    ],
    ids=["ids only", "lists only", "switched off", "no such column"],
)
def test_without_columns_there_are_no_segments(
    users: pl.DataFrame, settings: NewcomerSettings
) -> None:
    assert newcomers.fit(users, had(["a"], [0]), 2, settings) is None


def test_lists_follow_the_segment_and_say_so(made: Made) -> None:
    recommender = made(items=4, events=[1, 1, 0], weights=(1.0, 0.5, 0.0))
    recommender = replace(recommender, shop=replace(recommender.shop, newcomers=fitted()))
    assert recommender.names[-1] == "segment"
    ranked = fallback.lists(recommender, ["new", "nobody"], 3)
    assert ranked.rows.tolist() == [[0, 1, 2], [1, 0, 2]]
    np.testing.assert_allclose(ranked.terms[0, :2, -1], [log(3 / 2.5), log(2 / 2.5)])
    np.testing.assert_array_equal(ranked.terms[1, :, -1], 0)
    frame = release.popular_frame(["new", "nobody"], ranked, recommender.names, tuple("wxyz"))
    assert audit.problems(stored_lists.of([frame.lazy()])) == []
    assert frame["item_id"].to_list() == ["w", "x", "y", "x", "w", "y"]
    assert set(frame["source"]) == {"popular"}


def test_without_segments_all_get_the_popular_list(made: Made) -> None:
    recommender = made(events=[7, 7, 7, 2, 2, 4], weights=(1.0, 0.5, 0.0))
    ranked = fallback.lists(recommender, ["u1", "u2"], 10)
    assert ranked.rows.tolist() == [[7, 2, 4, 0, 1, 3, 5, 6, 8, 9]] * 2
    assert fallback.lists(recommender, [], 10).rows.shape == (0, 10)


def test_nothing_fitted_lists_by_popularity_alone(made: Made) -> None:
    recommender = made(items=4, events=[1, 1, 0])
    recommender = replace(recommender, shop=replace(recommender.shop, newcomers=fitted()))
    assert fallback.lists(recommender, ["new"], 2).rows.tolist() == [[1, 0]]

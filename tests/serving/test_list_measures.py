"""What is counted in staged lists, each count by an example worked out by hand."""

from pathlib import Path

import polars as pl
import pytest

from recsys.serving import list_measures, release, stored_lists
from recsys.serving.stored_lists import StoredLists

USERS = pl.Series(["u1", "u2"])
ELIGIBLE = pl.Series(["a", "b", "c", "d"])


def rows(*lists: tuple[str, str], source: str = "model") -> pl.DataFrame:
    """Lists given as (user, items in order)."""
    return pl.DataFrame(
        [
            (user, rank, item, -float(rank), source)
            for user, items in lists
            for rank, item in enumerate(items, 1)
        ],
        schema={"user_id": pl.String, "rank": pl.Int32, "item_id": pl.String,
                "score": pl.Float64, "source": pl.String},
        orient="row",
    )  # fmt: skip


def stored(*frames: pl.DataFrame) -> StoredLists:
    return stored_lists.of([frame.lazy() for frame in frames])


@pytest.fixture(autouse=True, params=[1, 3, 250_000])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every count is the same however few rows are looked at together."""
    monkeypatch.setattr(stored_lists, "ROWS", request.param)
    monkeypatch.setattr(list_measures, "USERS", request.param)


def seen(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        list(pairs), schema={"user_id": pl.String, "item_id": pl.String}, orient="row"
    )


def broken(
    folder: Path, frame: pl.DataFrame, had: pl.DataFrame | None = None, k: int = 3
) -> dict[str, float]:
    """Rules that staged files break, and how often."""
    release.write_parts([frame], folder / "lists")

    def of(users: pl.Series) -> pl.DataFrame:
        assert had is not None
        return had.filter(pl.col("user_id").is_in(users.implode()))

    lists = stored_lists.opened(folder)
    found = list_measures.broken_rules(lists, USERS, ELIGIBLE, None if had is None else of, k)
    assert len(found) == 7
    return {name: count for name, count in found.items() if count}


def test_all_is_well(tmp_path: Path) -> None:
    had = seen(("u1", "d"), ("u2", "gone"))
    assert broken(tmp_path, rows(("u1", "abc"), ("u2", "dcb")), had) == {}


def test_a_user_without_a_list(tmp_path: Path) -> None:
    assert broken(tmp_path, rows(("u1", "abc"))) == {"users_without_list": 1}


def test_a_user_for_whom_nothing_is_left_needs_no_list(tmp_path: Path) -> None:
    had = seen(*(("u2", item) for item in "abcd"))
    assert broken(tmp_path, rows(("u1", "abc")), had) == {}


def test_a_list_of_nobody(tmp_path: Path) -> None:
    frame = rows(("u1", "abc"), ("u2", "abc"), ("u3", "abc"))
    assert broken(tmp_path, frame) == {"lists_of_strangers": 1}


def test_a_short_list(tmp_path: Path) -> None:
    assert broken(tmp_path, rows(("u1", "abc"), ("u2", "ab"))) == {"short_lists": 1}


def test_a_short_list_where_no_more_is_left(tmp_path: Path) -> None:
    had = seen(("u2", "c"), ("u2", "d"), ("u2", "c"))
    assert broken(tmp_path, rows(("u1", "abc"), ("u2", "ab")), had) == {}


def test_having_had_what_may_not_be_listed_excuses_nothing(tmp_path: Path) -> None:
    had = seen(("u2", "gone"), ("u2", "blocked"), ("u2", "c"))
    assert broken(tmp_path, rows(("u1", "abc"), ("u2", "ab")), had) == {"short_lists": 1}


def test_a_list_longer_than_asked_for(tmp_path: Path) -> None:
    assert broken(tmp_path, rows(("u1", "abcd"), ("u2", "abc"))) == {"long_lists": 1}


def test_an_item_that_must_not_be_listed(tmp_path: Path) -> None:
    assert broken(tmp_path, rows(("u1", "abx"), ("u2", "xyz"))) == {"forbidden_items": 4}


def test_an_item_that_the_user_has_had(tmp_path: Path) -> None:
    frame = rows(("u1", "abc"), ("u2", "abc"))
    assert broken(tmp_path, frame, seen(("u1", "b"), ("u1", "d"))) == {"items_had": 1}


def test_broken_lists(tmp_path: Path) -> None:
    frame = rows(("u1", "abc"), ("u2", "aba")).with_columns(
        score=pl.when(pl.col("rank") == 3).then(float("inf")).otherwise("score")
    )
    # an item twice, a score that rises, a score that is not finite
    assert broken(tmp_path, frame) == {"broken_lists": 3}


def test_whole_numbers_as_ids(tmp_path: Path) -> None:
    frame = release.outside_ids(rows(("1", "a"), ("2", "b")), {"user_id": True})
    release.write_parts([frame], tmp_path / "lists")
    users = pl.Series(["1", "2"])
    assert not any(
        list_measures.broken_rules(stored_lists.opened(tmp_path), users, ELIGIBLE, None, 1).values()
    )


def test_what_was_changed_after_it_was_staged(tmp_path: Path) -> None:
    # the files are looked at, not what was in memory
    assert broken(tmp_path, rows(("u1", "abc"), ("u2", "abc"))) == {}
    assert broken(tmp_path, rows(("u1", "abx"), ("u2", "abc"))) != {}


def test_health() -> None:
    lists = stored(
        rows(("u1", "ab"), ("u2", "ab"), ("u3", "ba"), ("u4", "ac")),
        rows(("u5", "ab"), source="popular"),
    )
    settled = pl.Series(["u1", "u2", "u3", "u4", "u5"])
    found = list_measures.health(lists, settled, 1000, fewest=4)
    # a stands in all four model lists, u1 and u2 share a list; the head has room for all items
    assert found == {
        "users": 5, "coverage": 0.003, "popular_share": 0.2, "head_share": 1.0,
        "largest_item_share": 1.0, "same_list_share": 0.5,
    }  # fmt: skip


def test_health_is_silent_where_little_can_be_told() -> None:
    lists = stored(rows(("u1", "ab"), ("u2", "ab"), ("u3", "ba"), ("u4", "ac")))
    everyone = pl.Series(["u1", "u2", "u3", "u4"])
    assert "head_share" not in list_measures.health(lists, everyone, 1000, fewest=5)
    # the first hundredth of these would be nine items: too few to be steady
    assert "head_share" not in list_measures.health(lists, everyone, 940, fewest=4)
    # two places among ten items: one item in half of the lists is no wonder
    assert "largest_item_share" not in list_measures.health(lists, everyone, 10, fewest=4)
    # only u1 has a history that could tell users apart
    assert "same_list_share" not in list_measures.health(lists, everyone.head(1), 100, fewest=2)


def test_no_list_twice_is_a_share_of_nothing() -> None:
    lists = stored(rows(("u1", "ab"), ("u2", "ba")))
    found = list_measures.health(lists, lists.users, 100, fewest=2)
    assert found["same_list_share"] == 0


def test_overlap_by_hand() -> None:
    before, now = rows(("u1", "ab"), ("u2", "cd")), rows(("u1", "bc"), ("u2", "cd"), ("u3", "ab"))
    # u1: {b} of {a, b, c}; u2: all
    users = pl.Series(["u1", "u2"])
    assert list_measures.overlap(now[:4], before, users) == pytest.approx((1 / 3 + 1) / 2)
    assert list_measures.overlap(now[4:], before[4:], pl.Series(["u3"])) == 0


def test_against_the_last_release() -> None:
    before = stored(rows(("u1", "ab"), ("u2", "cd")), rows(("u3", "ae"), ("u4", "af")))
    now = stored(rows(("u1", "ab"), ("u2", "dc"), ("u3", "ae"), ("u4", "ag"), ("u5", "ab")))
    found = list_measures.against(now, before, changed=True, fewest=4)
    # own: 1, 1, 1, 1/3; each with the list two places on: u1-u3 1/3, u2-u4 0, u3-u1 1/3, u4-u2 0
    assert found["overlap"] == pytest.approx(10 / 12)
    assert found["overlap_own_over_others"] == pytest.approx((10 / 12) / (2 / 12))
    assert found["stuck_lists"] == 0
    assert list_measures.against(now, before, changed=True, fewest=5) == {}


def test_lists_that_are_stuck() -> None:
    lists = stored(rows(("u1", "ab"), ("u2", "cd")))
    assert list_measures.against(lists, lists, changed=True, fewest=2)["stuck_lists"] == 1
    assert "stuck_lists" not in list_measures.against(lists, lists, changed=False, fewest=2)
    turned = stored(rows(("u1", "ba"), ("u2", "cd")))
    assert list_measures.against(turned, lists, changed=True, fewest=2)["stuck_lists"] == 0


def test_users_whose_lists_were_mixed_up() -> None:
    users = [f"u{number:02d}" for number in range(40)]
    before = rows(*((user, f"{chr(97 + n // 2)}z") for n, user in enumerate(users)))
    mixed = before.with_columns(user_id=pl.Series(
        [users[(n // 2 * 7 + 3) % 40] for n in range(80)], dtype=pl.String
    ))  # fmt: skip
    last = stored(before)
    right = list_measures.against(last, last, changed=False, fewest=20)
    wrong = list_measures.against(stored(mixed), last, changed=False, fewest=20)
    assert right["overlap_own_over_others"] > 2
    assert wrong["overlap_own_over_others"] < 1.2

"""Each gate twice: just inside the limit, and just outside."""

from pathlib import Path

import polars as pl
import pytest

from recsys.errors import GateFault
from recsys.serving import gates, release

USERS = pl.Series(["u1", "u2"])
ELIGIBLE = pl.Series(["a", "b", "c", "d"])


def rows(*lists: tuple[str, str]) -> pl.DataFrame:
    """Lists given as (user, items in order)."""
    return pl.DataFrame(
        [
            (user, rank, item, -float(rank), "model")
            for user, items in lists
            for rank, item in enumerate(items, 1)
        ],
        schema={"user_id": pl.String, "rank": pl.Int32, "item_id": pl.String,
                "score": pl.Float64, "source": pl.String},
        orient="row",
    )  # fmt: skip


def seen(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        list(pairs), schema={"user_id": pl.String, "item_id": pl.String}, orient="row"
    )


def audit(
    folder: Path, frame: pl.DataFrame, had: pl.DataFrame | None = None, k: int = 3
) -> dict[str, float]:
    """Failed gates and what they counted, over staged files."""
    release.write_parts(frame, folder / "lists")
    table = gates.audit(folder, USERS, ELIGIBLE, had, k)
    assert len(table) == 7
    return {gate.name: gate.value for gate in table if gate.verdict == "fail"}


def test_all_is_well(tmp_path: Path) -> None:
    had = seen(("u1", "d"), ("u2", "gone"))
    assert audit(tmp_path, rows(("u1", "abc"), ("u2", "dcb")), had) == {}


def test_a_user_without_a_list(tmp_path: Path) -> None:
    assert audit(tmp_path, rows(("u1", "abc"))) == {"users without a list": 1}


def test_a_user_for_whom_nothing_is_left_needs_no_list(tmp_path: Path) -> None:
    had = seen(*(("u2", item) for item in "abcd"))
    assert audit(tmp_path, rows(("u1", "abc")), had) == {}


def test_a_list_of_nobody(tmp_path: Path) -> None:
    frame = rows(("u1", "abc"), ("u2", "abc"), ("u3", "abc"))
    assert audit(tmp_path, frame) == {"lists of unknown users": 1}


def test_a_short_list(tmp_path: Path) -> None:
    assert audit(tmp_path, rows(("u1", "abc"), ("u2", "ab"))) == {"lists shorter than possible": 1}


def test_a_short_list_where_no_more_is_left(tmp_path: Path) -> None:
    had = seen(("u2", "c"), ("u2", "d"), ("u2", "c"))
    assert audit(tmp_path, rows(("u1", "abc"), ("u2", "ab")), had) == {}


def test_having_had_what_may_not_be_listed_excuses_nothing(tmp_path: Path) -> None:
    had = seen(("u2", "gone"), ("u2", "blocked"), ("u2", "c"))
    frame = rows(("u1", "abc"), ("u2", "ab"))
    assert audit(tmp_path, frame, had) == {"lists shorter than possible": 1}


def test_a_list_longer_than_asked_for(tmp_path: Path) -> None:
    frame = rows(("u1", "abcd"), ("u2", "abc"))
    assert audit(tmp_path, frame) == {"lists longer than asked for": 1}


def test_an_item_that_must_not_be_listed(tmp_path: Path) -> None:
    frame = rows(("u1", "abx"), ("u2", "xyz"))
    assert audit(tmp_path, frame) == {"items that must not be listed": 4}


def test_an_item_that_the_user_has_had(tmp_path: Path) -> None:
    frame = rows(("u1", "abc"), ("u2", "abc"))
    had = seen(("u1", "b"), ("u1", "d"))
    assert audit(tmp_path, frame, had) == {"items that the user has had": 1}


def test_broken_rules(tmp_path: Path) -> None:
    frame = rows(("u1", "abc"), ("u2", "aba")).with_columns(
        score=pl.when(pl.col("rank") == 3).then(float("inf")).otherwise("score")
    )
    # an item twice, a score that rises, a score that is not finite
    assert audit(tmp_path, frame) == {"lists that break the rules": 3}


def test_whole_numbers_as_ids(tmp_path: Path) -> None:
    frame = release.outside_ids(rows(("1", "a"), ("2", "b")), {"user_id": True})
    release.write_parts(frame, tmp_path / "lists")
    table = gates.audit(tmp_path, pl.Series(["1", "2"]), ELIGIBLE, None, 1)
    gates.require(table)


def test_what_was_changed_after_it_was_staged(tmp_path: Path) -> None:
    # the files are audited, not what was in memory
    assert audit(tmp_path, rows(("u1", "abc"), ("u2", "abc"))) == {}
    assert audit(tmp_path, rows(("u1", "abx"), ("u2", "abc"))) != {}


def test_require_names_what_failed() -> None:
    table = [gates.Gate("good", 0, "0", "pass"), gates.Gate("bad", 1234567, "0", "fail")]
    with pytest.raises(GateFault, match=r"1 of 2 gates(.|\n)*bad: 1,234,567") as caught:
        gates.require(table)
    assert caught.value.exit_code == 4
    gates.require(table[:1])
    assert gates.rows(table)[0] == {"name": "good", "value": 0, "limit": "0", "verdict": "pass"}

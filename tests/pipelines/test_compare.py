"""`diff` and `why-not` on two nights of a tiny shop: every reason, and numbers worked out anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import cli
from recsys import artefacts
from recsys.data import buckets, catalogue
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.serving import release

TINY = ShopSettings(
    items=150, users=60, days=14, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("compare")
    write_shop(TINY, root / "shop")
    chosen = [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=2", "model.width=16",
        "evaluation.draws=100", "evaluation.ks=[5, 10]", "nightly.k=5", "features.video.frames=4",
        "lists.candidates.count=20",
    ]  # fmt: skip
    for date in ("2026-10-29", "2026-10-30"):
        assert cli.invoke(["nightly", "--date", date, *chosen]) == 0
    return chosen


@pytest.fixture
def ask(settings: list[str], capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*words: str) -> Any:
        capsys.readouterr()
        code = cli.invoke([*words, "--json", *settings])
        assert code == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return asked


def work(settings: list[str]) -> Path:
    return Path(settings[0].removeprefix("work="))


def lists(settings: list[str], date: str) -> pl.DataFrame:
    return release.read_lists(next((work(settings) / "releases").glob(f"{date}*")))


def test_diff_counts_users_and_items(settings: list[str], ask: Ask) -> None:
    told = ask("diff", "2026-10-29", "2026-10-30")
    old, new = (lists(settings, date) for date in ("2026-10-29", "2026-10-30"))
    of_user = [dict(frame.group_by("user_id").agg("item_id").iter_rows()) for frame in (old, new)]
    both = of_user[0].keys() & of_user[1].keys()
    kept = [len(set(of_user[0][user]) & set(of_user[1][user])) / 5 for user in both]
    assert told["lists"]["users_in_both"] == len(both)
    assert told["lists"]["users_with_other_items"] == sum(share < 1 for share in kept)
    assert told["lists"]["items_kept_per_list"] == pytest.approx(sum(kept) / len(kept), abs=1e-4)
    assert told["items"]["come"] == len(set(new["item_id"]) - set(old["item_id"]))
    assert told["items"]["gone"] == len(set(old["item_id"]) - set(new["item_id"]))
    assert not set(old["user_id"]) & set(json.dumps(told).split('"'))


def test_a_release_does_not_differ_from_itself(ask: Ask) -> None:
    told = ask("diff", "2026-10-30", "2026-10-30")
    assert told["lists"]["users_with_other_items"] == 0
    assert told["lists"]["items_kept_per_list"] == 1
    assert (told["counts"], told["gates"], told["parents"]) == ({}, [], {})


def test_an_unknown_release_and_an_ambiguous_one(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["diff", "2020", "2026-10-30", *settings]) == 3
    assert "no such release" in capsys.readouterr().err
    assert cli.invoke(["diff", "2026", "2026-10-30", *settings]) == 3
    assert "2 releases are called so" in capsys.readouterr().err


def shop(settings: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Items and events."""
    folder, _ = artefacts.current(work(settings) / "catalogue", "catalogue")
    log, _ = artefacts.current(work(settings) / "interactions", buckets.KIND)
    return catalogue.load(folder).items, buckets.read_all(log)


def test_every_reason_that_needs_no_score(settings: list[str], ask: Ask) -> None:
    items, log = shop(settings)
    live = lists(settings, "2026-10-30")
    made = live.filter(pl.col("source") == release.MODEL)
    user = made["user_id"][0]
    first = made.row(0, named=True)
    assert ask("why-not", user, first["item_id"]) | {"text": ""} == {
        "text": "", "user": user, "item": first["item_id"], "reason": "listed", "rank": 1,
        "score": first["score"], "changed": [], "release": ask("verify")["release"],
    }  # fmt: skip
    assert ask("why-not", user, "nothing")["reason"] == "unknown_item"
    gone = items.filter(~pl.col("available"))["item_id"]
    if len(gone):
        assert ask("why-not", user, gone[0])["reason"] == "unavailable"
    seen = log.filter((pl.col("user_id") == user) & pl.col("item_id").is_in(there(items).implode()))
    assert ask("why-not", user, seen["item_id"][-1])["reason"] == "seen"
    cold = live.filter(pl.col("source") != release.MODEL)
    if len(cold):
        other = there(items).filter(~there(items).is_in(cold["item_id"].implode()))[0]
        assert ask("why-not", cold["user_id"][0], other)["reason"] == "no_history"


def there(items: pl.DataFrame) -> pl.Series:
    return items.filter(pl.col("available"))["item_id"]


def test_scores_say_what_an_item_lacks(settings: list[str], ask: Ask) -> None:
    items, log = shop(settings)
    live = lists(settings, "2026-10-30").filter(pl.col("source") == release.MODEL)
    user = live["user_id"][0]
    mine = live.filter(pl.col("user_id") == user)["item_id"]
    had = log.filter(pl.col("user_id") == user)["item_id"]
    free = there(items).filter(~there(items).is_in(pl.concat([mine, had]).implode()))
    reasons = {}
    for item in free.gather_every(max(1, len(free) // 6)):
        told = ask("why-not", user, item)
        reasons[told["reason"]] = told
        if told["reason"] == "ranked_lower":
            assert told["reranked"] > 5
            assert sum(told["lacking"].values()) <= 1e-4
    assert reasons.keys() <= {"ranked_lower", "not_a_candidate", "not_yet"}
    assert "not_a_candidate" in reasons
    assert reasons["not_a_candidate"]["candidate"] > 20


def test_who_has_no_list_is_said(settings: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["why-not", "nobody", "i00001", *settings]) == 3
    assert "no list for this user" in capsys.readouterr().err

"""A shop whose customers buy the same things again: the whole night, with lists that may repeat."""

import datetime
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines import cli
from pipelines.settings import Settings
from recsys import artefacts
from recsys.serving import release

USERS, ITEMS, DAYS, LAST = 60, 40, 28, datetime.datetime(2026, 10, 30, tzinfo=datetime.UTC)
OFF = ("few_users", "one_item_in_lists", "gains_on_popular", "same_list", "coverage", "drift")


def habits(folder: Path) -> np.ndarray:
    """Writes a log in which everybody buys one of three own favourites on most days; `[U, 3]`."""
    random = np.random.default_rng(0)
    favourites = np.array([random.choice(ITEMS, 3, replace=False) for _ in range(USERS)])
    rows = []
    for user in range(USERS):
        for day in range(DAYS):
            own = random.random() < 0.8
            item = random.choice(favourites[user]) if own else random.integers(ITEMS)
            when = LAST - datetime.timedelta(days=DAYS - day, hours=-int(random.integers(20)))
            rows.append((f"u{user}", f"i{item:02}", when))
    folder.mkdir()
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_parquet(folder / "interactions.parquet")
    return favourites


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("habits")
    favourites = habits(folder / "shop")
    np.save(folder / "favourites.npy", favourites)
    return [
        f"work={folder}/work", f"data.folder={folder}/shop", "data.items_from_log=true",
        "lists.candidates.repeats=true", "lists.candidates.count=12", "nightly.k=5",
        "tracking.enabled=false", "split.validation_days=3", "split.test_days=3", "train.epochs=2",
        "model.width=16", "evaluation.draws=100", "evaluation.ks=[5]", "nightly.similar=3",
        *(f"gates.rules.{name}.on=false" for name in OFF),
    ]  # fmt: skip


def test_lists_hold_what_users_buy_again_and_stand_beside_their_own_history(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    work = Path(words[0].removeprefix("work="))
    assert cli.invoke(["nightly", *words, "--date", "2026-10-29"]) == 0
    live = artefacts.current(work / "releases", release.KIND)[0]
    rows = pl.read_parquet(live / "lists" / "*.parquet")
    assert "own_7d" in str(rows.schema)
    favourites = np.load(work.parent / "favourites.npy")
    wanted = {f"u{user}": {f"i{item:02}" for item in own} for user, own in enumerate(favourites)}
    first = rows.filter(pl.col("rank") <= 3).select("user_id", "item_id").rows()
    hits = np.mean([item in wanted[user] for user, item in first])
    assert hits > 0.85  # chance: .075
    listed = rows.filter(user_id="u0")["item_id"].to_list()
    log = pl.read_parquet(work.parent / "shop" / "interactions.parquet").filter(user_id="u0")
    had = next(item for item in log["item_id"].unique().sort() if item not in listed)
    capsys.readouterr()
    assert cli.invoke(["why-not", "u0", had, "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "ranked_lower"  # it was a candidate
    assert cli.invoke(["evaluate", "--json", *words]) == 0
    systems = {row["system"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {"lists", "own_history", "popular"} <= systems


def test_own_history_is_no_baseline_where_nothing_is_listed_again(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    once = ["lists.candidates.repeats=false", f"{words[0]}-once"]
    for command in ("ingest", "encode", "train"):
        assert cli.invoke([command, *words, *once]) == 0
    capsys.readouterr()
    assert cli.invoke(["evaluate", "--json", *words, *once]) == 0
    assert "own_history" not in capsys.readouterr().out


@pytest.mark.parametrize("listed", [False, True])
def test_targets_are_what_lists_may_hold(listed: bool) -> None:
    settings = Settings.model_validate({"lists": {"candidates": {"repeats": listed}}})
    assert settings.training.batches.repeats is listed
    chosen = {
        "train": {"batches": {"repeats": not listed}},
        **settings.model_dump(include={"lists"}),
    }
    assert Settings.model_validate(chosen).training.batches.repeats is not listed

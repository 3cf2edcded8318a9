"""Nights that went wrong, end to end on a tiny shop: each is stopped, and yesterday stays live."""

import datetime
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from pipelines import cli, night_lists, night_measures
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.models import saved
from recsys.serving import audit, release, stored_lists

TINY = ShopSettings(
    items=150, users=100, days=21, events=5000, first=0.9, taste=4, novelty=0, burst=0, drifting=0,
    photo_side=32, no_clip=1, broken=0,
)  # fmt: skip
YESTERDAY, TODAY = "2026-10-29", "2026-10-30"


class Shop:
    """A shop in whose work folder yesterday's night has been published."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = [
            f"work={folder}/work", f"data.folder={folder}/shop", "tracking.enabled=false",
            "split.validation_days=3", "split.test_days=3", "train.epochs=15", "model.width=16",
            "evaluation.draws=100", "evaluation.ks=[5]", "nightly.k=5", "nightly.similar=5",
            "features.video.encoder=none", "lists.candidates.count=30", "train.seed=1",
        ]  # fmt: skip

    def night(self, date: str, *overrides: str) -> int:
        """Runs a night; returns its exit code."""
        return cli.invoke(["nightly", "--date", date, *self.settings, *overrides])

    def record(self) -> dict[str, Any]:
        """The newest run's record, and its folder."""
        path = max(
            (self.folder / "work" / "runs").glob("*/run.json"), key=lambda p: p.stat().st_mtime_ns
        )
        return {**json.loads(path.read_text()), "folder": path.parent}

    def live(self) -> tuple[Path, dict[str, Any]]:
        """The live release and its manifest, checked."""
        return artefacts.current(self.folder / "work" / "releases", release.KIND)

    def log(self) -> list[str]:
        """Lines of the log, header first."""
        return (self.folder / "shop" / "interactions.csv").read_text().splitlines()

    def write_log(self, lines: list[str]) -> None:
        (self.folder / "shop" / "interactions.csv").write_text("\n".join(lines) + "\n")

    def change_items(self, change: Callable[[int, dict[str, Any]], dict[str, Any] | None]) -> None:
        """Rewrites the catalogue; None takes an item out."""
        path = self.folder / "shop" / "items.jsonl"
        items = [
            change(n, json.loads(line)) for n, line in enumerate(path.read_text().splitlines())
        ]
        path.write_text("".join(json.dumps(item) + "\n" for item in items if item))


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("yesterday"))
    write_shop(TINY, shop.folder / "shop")
    assert shop.night(YESTERDAY) == 0
    return shop


@pytest.fixture
def shop(yesterday: Shop, tmp_path: Path) -> Shop:
    shutil.copytree(yesterday.folder, tmp_path, dirs_exist_ok=True)
    return Shop(tmp_path)


def collapsed(shop: Shop, _: pytest.MonkeyPatch) -> str:
    """A model whose modalities, and so its items, have all become nearly the same vector."""
    root = shop.folder / "work" / "models"
    folder, manifest = artefacts.current(root, "model")
    read = saved.read(folder)
    with torch.no_grad():
        for name, weights in read.model.item_tower.named_parameters():
            if name == "absent" or name.endswith("norm.bias"):
                weights.fill_(1)
            elif name.endswith("norm.weight"):
                weights.mul_(0.01)
    with artefacts.publishing(root, folder.name, "model", parents=manifest["parents"]) as staged:
        shutil.copytree(folder, staged.folder, dirs_exist_ok=True)
        (staged.folder / artefacts.MANIFEST).unlink()
        saved.write(read.model, staged.folder, read.item_ids.ids)
    return TODAY


def wrong_join(shop: Shop, _: pytest.MonkeyPatch) -> str:
    """Users' ids mixed up on their way into the log."""

    def mixed(user: str) -> str:
        return f"u{(int(user[1:]) * 7 + 3) % TINY.users:05d}"

    head, *rows = shop.log()
    shop.write_log([head, *(f"{mixed(row[:6])}{row[6:]}" for row in rows)])
    return TODAY


def wrong_lists(_: Shop, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lists given to the wrong users after they were made."""
    right = night_lists._lists

    def mixed(*inputs: Any) -> Iterator[pl.DataFrame]:
        for lists in right(*inputs):
            users = lists["user_id"].unique().sort()
            others = dict(zip(users, [*users[1:], users[0]], strict=True))
            yield lists.with_columns(lists["user_id"].replace(others)).sort("user_id", "rank")

    monkeypatch.setattr(night_lists, "_lists", mixed)
    return TODAY


def stuck_input(shop: Shop, _: pytest.MonkeyPatch) -> str:
    """Yesterday's log once more: the day's events did not arrive."""
    shop.write_log(
        [line for line in shop.log() if line.split(",")[2] < YESTERDAY or "user_id" in line]
    )
    return TODAY


def late_input(_: Shop, __: pytest.MonkeyPatch) -> str:
    """The log stood still for two days."""
    return "2026-11-01"


def shrunken_catalogue(shop: Shop, _: pytest.MonkeyPatch) -> str:
    shop.change_items(lambda number, item: item if number % 5 < 3 else None)
    return TODAY


def unavailable_catalogue(shop: Shop, _: pytest.MonkeyPatch) -> str:
    shop.change_items(lambda number, item: item | {"available": number % 5 < 3})
    return TODAY


def poisoned_by_one(shop: Shop, _: pytest.MonkeyPatch) -> str:
    """One user makes two fifths of all events, in a day and on a few items."""
    rows = [
        f"u00007,i{n % 3:05d},2026-10-29T{n // 200:02d}:{n // 4 % 50:02d}:{n % 4 * 9:02d}Z,purchase"
        for n in range(4000)
    ]
    shop.write_log([*shop.log(), *rows])
    return TODAY


def poisoned_by_many(shop: Shop, _: pytest.MonkeyPatch) -> str:
    """Many users push one item through the last day."""
    rows = [f"u{n % 100:05d},i00003,2026-10-29T{10 + n // 100:02d}:10:00Z,view" for n in range(200)]
    shop.write_log([*shop.log(), *rows])
    return TODAY


@pytest.mark.parametrize(
    ("poison", "gate"),
    [
        (collapsed, "one_direction"),
        (wrong_join, "own_list"),
        (wrong_lists, "canary"),
        (stuck_input, "few_events_last_day/all"),
        (late_input, "old_events"),
        (shrunken_catalogue, "catalogue_shrinks"),
        (unavailable_catalogue, "offer_shrinks"),
        (poisoned_by_one, "one_user"),
        (poisoned_by_many, "one_item"),
    ],
)
def test_a_poisoned_night_is_stopped(
    shop: Shop,
    poison: Callable[[Shop, pytest.MonkeyPatch], str],
    gate: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, manifest = shop.live()
    date = poison(shop, monkeypatch)
    assert shop.night(date, "data.unknown_items_fail=1") == 4
    assert f"{gate}: " in capsys.readouterr().err
    assert shop.live() == (folder, manifest)
    assert audit.verify(folder.parent)["release"] == folder.name
    record = shop.record()
    assert (record["status"], record["exit"]) == ("refused", 4)
    row = next(row for row in record["gates"] if row["name"] == gate)
    assert (row["verdict"], row["beyond"] > 0) == ("fail", True)
    assert record["measures"]["users"] == TINY.users
    told = (shop.folder / "work" / "metrics.prom").read_text().splitlines()
    assert "recsys_night_exit_code 4" in told
    page = (record["folder"] / "report.html").read_text()
    assert "missed by" in page
    assert "gates failed" in page


def test_nothing_is_learned_from_a_poisoned_log(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = artefacts.current(tmp_path / "work" / "models", "model")
    poisoned_by_one(shop, pytest.MonkeyPatch())
    shop.write_log([line.replace("2026-10-29T", "2026-10-30T") for line in shop.log()])
    assert shop.night("2026-10-31", "nightly.retrain_every_days=1") == 4
    told = capsys.readouterr().err
    assert "a training is due, but not on what gates refuse: " in told
    assert "one_user" in told
    assert artefacts.current(tmp_path / "work" / "models", "model") == model
    assert (shop.record()["folder"] / "report.html").exists()
    shutil.rmtree(tmp_path / "work")
    assert shop.night("2026-10-31") == 4  # the first night of all: there is nothing to go on with
    assert "one_user: " in capsys.readouterr().err
    assert not artefacts.exists(tmp_path / "work" / "models")
    assert any(row["verdict"] == "fail" for row in shop.record()["gates"])


def test_a_first_night_without_anything_to_list_is_refused_before_training(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tmp_path / "work")
    shop.change_items(lambda _, item: item | {"available": "sold out"})
    assert shop.night(TODAY) == 4
    assert "nothing_to_list: 0; at least 1" in capsys.readouterr().err
    assert not artefacts.exists(tmp_path / "work" / "models")
    assert cli.invoke(["check", f"data.folder={tmp_path}/shop", f"work={tmp_path}/work"]) == 3
    assert "none of 150 items is available" in capsys.readouterr().err


def test_a_night_like_any_other_passes_and_knows_yesterday(shop: Shop) -> None:
    before, _ = shop.live()
    assert shop.night(TODAY) == 0
    folder, manifest = shop.live()
    assert manifest["parents"]["baseline"] == before.name
    compared = {row["name"]: row["baseline"] for row in manifest["gates"] if row["baseline"]}
    assert {"catalogue_shrinks", "users", "coverage", "training_loss"} <= set(compared)
    assert manifest["measures"]["overlap_own_over_others"] > 1.2
    assert [row["date"] for row in manifest["history"]] == [YESTERDAY, TODAY]
    assert "Last nights" in (folder / "report.html").read_text()
    assert shop.night(TODAY) == 0
    assert shop.live() == (folder, manifest)  # it is there already
    artefacts.point(folder.parent, before.name)
    shutil.rmtree(folder)
    assert shop.night(TODAY) == 0
    assert shop.live()[1]["files"] == manifest["files"]  # the same baseline, the same bytes


def test_a_night_holds_few_lists_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.night(TODAY) == 0
    folder, whole = shop.live()
    artefacts.point(folder.parent, whole["parents"]["baseline"])
    shutil.rmtree(folder)
    users, rows, held = 7, 40, [0]
    monkeypatch.setattr(night_lists, "USERS", users)
    monkeypatch.setattr(night_measures, "CANARIES", users)
    monkeypatch.setattr(night_lists, "FEW_USERS", 0)
    monkeypatch.setattr(stored_lists, "ROWS", rows)
    plain, plain_frame = release.collected, release.list_frame

    def collected(*inputs: Any) -> pl.DataFrame:
        found = plain(*inputs)
        held.append(len(found))
        return found

    def list_frame(*inputs: Any) -> pl.DataFrame:
        found = plain_frame(*inputs)
        assert found["user_id"].n_unique() <= users
        return found

    monkeypatch.setattr(release, "collected", collected)
    monkeypatch.setattr(release, "list_frame", list_frame)
    monkeypatch.delattr(release, "read_lists")  # the whole table
    assert shop.night(TODAY) == 0
    assert rows / 2 < max(held) <= rows < whole["counts"]["rows"]
    again = shop.live()[1]
    for what in ("files", "counts", "measures", "gates", "history"):
        assert again[what] == whole[what]


def test_the_limit_can_be_moved_for_a_night_that_is_right(shop: Shop) -> None:
    unavailable_catalogue(shop, pytest.MonkeyPatch())
    assert shop.night(TODAY) == 4
    off = "gates.rules.offer_shrinks.on=false"
    assert shop.night(TODAY, off) == 0
    _, manifest = shop.live()
    assert manifest["settings"]["gates"]["rules"]["offer_shrinks"]["on"] is False


def test_a_dry_run_is_judged_too(shop: Shop) -> None:
    before = shop.live()
    assert cli.invoke(["nightly", "--date", "2026-11-01", "--dry-run", *shop.settings]) == 4
    assert shop.live() == before


def test_refused_lists_are_filtered_again(shop: Shop) -> None:
    before, _ = shop.live()
    gone = release.read_lists(before)["item_id"].mode()[0]
    shop.change_items(
        lambda _, item: (
            item | {"available": item.get("available", True) and item["item_id"] != gone}
        )
    )
    assert shop.night("2026-11-01", "gates.refilter=true") == 4  # refused: the events are old
    folder, again = shop.live()
    assert folder.name.startswith(f"{YESTERDAY}-refiltered-")
    assert (again["date"], again["refiltered_from"]) == (YESTERDAY, before.name)
    kept, lists = release.read_lists(before), release.read_lists(folder)
    assert gone not in lists["item_id"].to_list()
    assert len(kept) - len(lists) == again["counts"]["rows_filtered"] > 0
    assert lists["rank"].min() == 1
    assert audit.verify(folder.parent)["release"] == folder.name
    assert gone not in release.read_popular(folder)["item_id"].to_list()
    assert gone not in release.read_similar(folder)["similar_item_id"].to_list()
    page = (folder / "report.html").read_text()
    assert "was refused" in page
    assert "old events" in page.lower()
    # once more: the same release; and the next good night is compared with the one before both
    assert shop.night("2026-11-01", "gates.refilter=true") == 4
    assert shop.live() == (folder, again)
    assert shop.night(TODAY) == 0
    assert shop.live()[1]["parents"]["baseline"] == before.name


def test_a_catalogue_that_is_not_believed_filters_nothing(shop: Shop) -> None:
    before = shop.live()
    shop.change_items(lambda number, item: item | {"available": number % 5 == 0})
    assert shop.night(TODAY, "gates.refilter=true") == 4
    assert shop.live() == before


@pytest.mark.slow
def test_thirty_nights_of_a_steady_shop(tmp_path: Path) -> None:
    """Every night with what was known on it: no refusal, at most two warnings in all.

    That the shop is small and its lists are popular ones is so on every night: these gates are off.
    """
    shop, size = Shop(tmp_path), {"users": 150, "items": 200, "days": 60, "events": 12_000}
    write_shop(TINY.model_copy(update=size | {"no_photo": 1.0}), shop.folder / "shop")
    level = ("little_log", "few_users", "gains_on_popular", "one_item_in_lists", "same_list")
    head, *rows = shop.log()
    catalogue = (shop.folder / "shop" / "items.jsonl").read_text().splitlines(keepends=True)
    warnings, end = [], datetime.date.fromisoformat(TODAY)
    for night in range(30):
        day = str(end - datetime.timedelta(days=29 - night))
        shop.write_log([head, *(row for row in rows if row.split(",")[2] < day)])
        known = "".join(line for line in catalogue if json.loads(line)["created_at"] < day)
        (shop.folder / "shop" / "items.jsonl").write_text(known)
        assert shop.night(day, *(f"gates.rules.{name}.on=false" for name in level)) == 0
        gates = shop.record()["gates"]
        warnings += [(day, row["name"]) for row in gates if row["verdict"] == "warn"]
    assert len(warnings) <= 2, warnings

"""Nights that do only what is new, beside nights that do everything: the same bytes come out.

A log with a file a day grows by a day each night, late events in it; items and users come, one user
is erased. Every night is compared with one that has nothing but the trained model and the earlier
releases, and that reads, encodes and learns everything from the beginning.
"""

import dataclasses
import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli, night_lists
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.serving import release

TINY = ShopSettings(
    items=120, users=100, days=21, events=5000, first=0.8, taste=4, novelty=0, burst=0, drifting=0,
    photo_side=16, no_clip=1, broken=0,
)  # fmt: skip
END = datetime.date(2026, 10, 30)
OFF = ("few_users", "one_item_in_lists", "gains_on_popular", "same_list", "coverage")


@dataclasses.dataclass
class Shop:
    """A growing dataset folder with two work folders, of which one is emptied before each night."""

    folder: Path
    days: dict[str, list[str]]
    items: list[dict[str, Any]]
    users: list[str]

    def settings(self, work: str, *more: str) -> list[str]:
        return [
            f"work={self.folder / work}", f"data.folder={self.folder / 'shop'}",
            "tracking.enabled=false", "split.validation_days=2", "split.test_days=2",
            "train.epochs=2", "model.width=16", "evaluation.draws=100", "evaluation.ks=[5]",
            "nightly.k=5", "nightly.similar=5", "lists.candidates.count=30", "data.buckets=4",
            "features.video.encoder=none", "nightly.reruns=changed",
            *(f"gates.rules.{name}.on=false" for name in OFF), *more,
        ]  # fmt: skip

    def arrive(self, day: str, rows: list[str]) -> None:
        """Appends rows to a day's file."""
        path = self.folder / "shop" / "interactions" / f"{day}.csv"
        head = [] if path.exists() else ["user_id,item_id,timestamp,event"]
        with path.open("a") as stream:
            stream.writelines(f"{line}\n" for line in (*head, *rows))

    def stock(self, before: str, people: int) -> None:
        """The catalogue and the users as they are known on a day."""
        known = [item for item in self.items if item["created_at"] < before]
        text = "".join(json.dumps(item) + "\n" for item in known)
        (self.folder / "shop" / "items.jsonl").write_text(text)
        (self.folder / "shop" / "users.csv").write_text("".join(self.users[: people + 1]))

    def night(self, work: str, date: str, *more: str) -> dict[str, Any]:
        """Runs a night; what it published, by file, and what its record says of it."""
        assert cli.invoke(["nightly", "--date", date, *self.settings(work, *more)]) == 0
        folder, manifest = artefacts.current(self.folder / work / "releases", release.KIND)
        runs = (self.folder / work / "runs").glob("*/run.json")
        record = json.loads(max(runs, key=lambda path: path.stat().st_mtime_ns).read_text())
        files = {name: entry["sha256"] for name, entry in manifest["files"].items()}
        return {"name": folder.name, "files": files, "lists": record.get("lists")}

    def from_scratch(self, *given: str) -> None:
        """A work folder with the model and the releases of before, and what else is given."""
        shutil.rmtree(self.folder / "full", ignore_errors=True)
        for name in ("models", "evaluations", "releases", "erasures", *given):
            if (self.folder / "work" / name).is_dir():
                shutil.copytree(self.folder / "work" / name, self.folder / "full" / name)


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The sample shop, taken apart by days; a model of the days before the last ten."""
    folder = tmp_path_factory.mktemp("nights")
    write_shop(TINY, folder / "shop")
    log = folder / "shop" / "interactions.csv"
    days: dict[str, list[str]] = {}
    for line in log.read_text().splitlines()[1:]:
        days.setdefault(line.split(",")[2][:10], []).append(line)
    log.unlink()
    log.with_suffix("").mkdir()
    items = [json.loads(line) for line in (folder / "shop/items.jsonl").read_text().splitlines()]
    users = (folder / "shop/users.csv").read_text().splitlines(keepends=True)
    shop = Shop(folder, days, items, users)
    for day in sorted(days):
        if day < str(END - datetime.timedelta(days=10)):
            shop.arrive(day, days[day])
    shop.stock(str(END - datetime.timedelta(days=10)), 90)
    shop.night("work", str(END - datetime.timedelta(days=10)))
    return shop


@pytest.fixture(autouse=True)
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are written in many blocks."""
    monkeypatch.setattr(night_lists, "FEW_USERS", 3)
    monkeypatch.setattr(night_lists, "USERS", 8)


@pytest.mark.parametrize("nights", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_incremental_nights_are_full_nights(sold: Shop, tmp_path: Path, nights: int) -> None:
    shutil.copytree(sold.folder, tmp_path, dirs_exist_ok=True)
    shop = dataclasses.replace(sold, folder=tmp_path)
    kept, read = 0, []
    for number in range(nights):
        yesterday = END - datetime.timedelta(days=10 - number)
        date = str(yesterday + datetime.timedelta(days=1))
        rows = shop.days[str(yesterday)]
        people = sorted({row[:6] for row in rows})
        late = [row for row in rows if row[:6] in people[::15]]
        later = [row for row in rows if row[:6] in people[1::15]]
        shop.arrive(str(yesterday), [row for row in rows if row not in late + later])
        shop.stock(date, 91 + number)
        if number == nights // 2:  # somebody wants to be forgotten
            assert cli.invoke(["erase", "u00007", *shop.settings("work")]) == 0
        shop.from_scratch()  # what is learned each night is learned again here
        one = shop.night("work", date)
        assert shop.night("full", date, "nightly.reruns=changed") == one
        assert one["lists"]["kept"] == 0
        parts = {path.name for path in (tmp_path / "work" / "event_files").iterdir()}
        shop.arrive(str(yesterday), late)  # they come after the night, which is made again
        shop.from_scratch("bases")
        again = shop.night("work", date)
        shutil.rmtree(tmp_path / "full" / "releases" / again["name"], ignore_errors=True)
        whole = shop.night("full", date, "--anew")
        assert whole["files"] == again["files"] != one["files"]
        assert whole["lists"]["made"] == sum(again["lists"].values())
        assert 0 < again["lists"]["made"] <= len(people[::15])
        kept += again["lists"]["kept"]
        now = {path.name for path in (tmp_path / "work" / "event_files").iterdir()}
        read.append(len(now - parts))
        shop.arrive(str(yesterday), later)  # these come a day late
    assert read == [1] * nights  # of all files only the one that late events came into
    assert kept > 80 * nights
    lists = release.read_lists(artefacts.current(tmp_path / "work/releases", release.KIND)[0])
    assert "u00007" not in lists["user_id"]


def test_a_day_goes_on_from_the_day_before(
    sold: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(sold.folder, tmp_path, dirs_exist_ok=True)
    shop = dataclasses.replace(sold, folder=tmp_path)
    bases = tmp_path / "work" / "bases"
    cold = artefacts.versions(bases)
    made = []
    for number in (10, 9):
        yesterday = END - datetime.timedelta(days=number)
        shop.arrive(str(yesterday), shop.days[str(yesterday)])
        date = str(yesterday + datetime.timedelta(days=1))
        shop.night("work", date, "nightly.warm_start=true")
        (name,) = {*artefacts.versions(bases)} - {*cold, *made}
        made.append(name)
    first, second = (artefacts.read(bases / name, "basis") for name in made)
    assert "after" not in first["parents"]  # the bases of cold nights are another line
    assert second["parents"]["after"] == made[0]
    # a damaged basis is made again, from the same day before, to the same bytes
    weights = bases / made[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    capsys.readouterr()
    shop.night("work", date, "nightly.warm_start=true", "nightly.k=6")
    assert f"{made[1]} is made again" in capsys.readouterr().err
    assert artefacts.read(bases / made[1], "basis")["content"] == second["content"]

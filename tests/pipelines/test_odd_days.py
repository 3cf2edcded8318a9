"""Days unlike others: empty ones, clocks ahead, items that return, columns that come and go."""

import datetime
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import cli, inputs
from recsys import artefacts
from recsys.data import interactions
from recsys.data.histories import Histories
from recsys.data.sample_shop import write_shop
from recsys.data.settings import DataSettings
from recsys.data.synthetic import ShopSettings
from recsys.errors import UsageFault
from recsys.serving import release

TINY = ShopSettings(
    items=120, users=100, days=21, events=5000, first=0.9, taste=4, novelty=0, burst=0, drifting=0,
    photo_side=16, no_clip=1, broken=0,
)  # fmt: skip
TODAY = "2026-10-30"
OFF = ("few_users", "one_item_in_lists", "gains_on_popular", "same_list", "coverage")


class Shop:
    """A shop with a file of events a day, and nights in its work folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def night(self, *words: str) -> int:
        settings = [
            f"work={self.folder}/work", f"data.folder={self.folder}/shop", "nightly.k=5",
            "tracking.enabled=false", "split.validation_days=2", "split.test_days=2",
            "train.epochs=2", "model.width=16", "evaluation.draws=100", "evaluation.ks=[5]",
            "nightly.similar=3", "lists.candidates.count=30", "features.video.encoder=none",
            *(f"gates.rules.{name}.on=false" for name in OFF),
        ]  # fmt: skip
        return cli.invoke(["nightly", *settings, *words])

    def live(self) -> tuple[Path, dict[str, Any]]:
        return artefacts.current(self.folder / "work" / "releases", release.KIND)

    def day(self, date: str) -> Path:
        return self.folder / "shop" / "interactions" / f"{date}.csv"

    def change_items(self, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Rewrites the catalogue; None takes an item out."""
        path = self.folder / "shop" / "items.jsonl"
        items = [change(json.loads(line)) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(item) + "\n" for item in items if item))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Today's lists are live."""
    shop = Shop(tmp_path_factory.mktemp("odd"))
    write_shop(TINY, shop.folder / "shop")
    log = shop.folder / "shop" / "interactions.csv"
    head, *rows = log.read_text().splitlines(keepends=True)
    log.unlink()
    log.with_suffix("").mkdir()
    for row in rows:
        path = shop.day(row.split(",")[2][:10])
        with path.open("a") as stream:
            stream.write(row if path.stat().st_size else head + row)
    assert shop.night() == 0
    assert shop.live()[1]["date"] == TODAY
    return shop


@pytest.fixture
def shop(published: Shop, tmp_path: Path) -> Shop:
    shutil.copytree(published.folder, tmp_path, dirs_exist_ok=True)
    return Shop(tmp_path)


def test_an_empty_day_is_refused_unless_it_is_meant(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shop.live()
    shop.day(TODAY).write_text("user_id,item_id,timestamp,event\n")  # a file with no event in it
    assert shop.night("--date", "2026-10-31") == 4
    assert "few_events_last_day" in capsys.readouterr().err
    assert shop.live() == before
    assert shop.night("--date", "2026-10-31", "gates.rules.few_events_last_day.on=false") == 0
    folder, manifest = shop.live()
    assert manifest["date"] == "2026-10-31"
    assert release.read_lists(folder)["user_id"].n_unique() == TINY.users


def test_a_clock_that_runs_ahead_does_not_move_the_night(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, manifest = shop.live()
    with shop.day("2026-10-29").open("a") as stream:
        stream.write("u00001,i00001,2026-10-31T03:00:00Z,view\n")
    assert shop.night("data.max_input_bytes=999999999") == 0
    assert "clock that runs ahead" in capsys.readouterr().err
    again, now = shop.live()
    assert (now["date"], now["counts"]["users"]) == (TODAY, manifest["counts"]["users"])
    # what has not happened yet is not known: the lists are the same
    lists = [release.read_lists(one) for one in (folder, again)]
    assert again != folder
    assert lists[0].equals(lists[1])


def test_days_that_the_log_does_not_reach(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for day, told in (
        ("2026-10-01", "the day lies before the log"),
        ("2027-12-01", "more than a year after the log"),
        ("2026-02-30", "not a date"),
        ("30-10-2026", "not a date"),
    ):
        assert shop.night("--date", day) == 2
        assert told in capsys.readouterr().err


def test_an_item_that_leaves_and_returns(shop: Shop) -> None:
    first, _ = shop.live()
    lists = release.read_lists(first)
    gone = lists["item_id"].mode().sort()[0]
    items = (shop.folder / "shop" / "items.jsonl").read_text()
    shop.change_items(lambda item: None if item["item_id"] == gone else item)
    assert shop.night("data.unknown_items_fail=1") == 0
    without, _ = shop.live()
    assert gone not in release.read_lists(without)["item_id"]
    assert gone not in release.read_popular(without)["item_id"]
    near = release.read_similar(without)
    assert gone not in near["item_id"]
    assert gone not in near["similar_item_id"]
    (shop.folder / "shop" / "items.jsonl").write_text(items)
    assert shop.night() == 0
    again, _ = shop.live()
    assert again != without
    assert release.read_lists(again).equals(lists)  # its events and its row of the model are back


def test_columns_come_and_go(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    def changed(item: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in item.items() if key not in ("price", "brand")}
        return kept | {"material": "oak" if item["item_id"] < "i00050" else None}

    shop.change_items(changed)
    users = shop.folder / "shop" / "users.csv"
    users.write_text("".join(f"{line},x\n" for line in users.read_text().splitlines()))
    users.write_text(users.read_text().replace(",x", ",plan", 1))
    assert shop.night() == 0  # the model knows what it was trained with, and reads what is there
    assert shop.live()[1]["counts"]["users"] == TINY.users
    path = shop.day(TODAY)
    path.write_text("timestamp,event,user_id,item_id\n2026-10-30T00:30:00Z,view,u00001,i00001\n")
    assert shop.night("--date", TODAY) == 0  # columns in another order
    path.write_text("user_id,item_id,timestamp\nu00001,i00001,2026-10-30T00:30:00Z\n")
    assert shop.night("--date", TODAY) == 3
    told = capsys.readouterr().err
    assert "parts of one table differ" in told
    assert f"{TODAY}.csv" in told


ZONE = "Europe/Berlin"


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)]
)
def test_every_hour_of_a_dst_day_is_a_row_or_refused(tmp_path: Path, day: str, hours: int) -> None:
    # local clocks: an hour that is left out cannot have happened, one that comes twice is told
    # apart only by its offset
    begin = datetime.datetime.fromisoformat(f"{day}T00:00")
    local = [begin + datetime.timedelta(minutes=30 * n) for n in range(48)]
    rows = [f"u{n},i,{moment:%Y-%m-%dT%H:%M:%S},view" for n, moment in enumerate(local)]
    (tmp_path / "interactions.csv").write_text(
        "\n".join(["user_id,item_id,timestamp,event", *rows]) + "\n"
    )
    settings = DataSettings(folder=str(tmp_path), timezone=ZONE, quarantine_fail=1)
    now = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC).timestamp()
    made = interactions.ingest(settings, None, now)
    assert made.frame.height + made.account.quarantine.height == 48
    assert made.account.quarantine.height == (0 if hours == 24 else 2)
    stamps = made.frame["timestamp"].dt.convert_time_zone(ZONE)
    assert stamps.dt.date().unique().to_list() == [begin.date()]
    assert stamps.dt.strftime("%H:%M").n_unique() == made.frame.height


def test_days_are_utc_days_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = int(datetime.datetime(2026, 10, 24, 23, 59, tzinfo=datetime.UTC).timestamp())
    found = set()
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles", ZONE):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found.add(inputs.moment("", newest))
        found.add(inputs.moment("2026-10-25", newest))
    monkeypatch.undo()
    os.environ.setdefault("TZ", "UTC")
    time.tzset()
    assert found == {(datetime.date(2026, 10, 25), newest + 60)}
    length = inputs.moment("2026-10-26", newest)[1] - inputs.moment("2026-10-25", newest)[1]
    assert length == 86_400  # though clocks in Berlin are set back between them
    leap = inputs.moment(
        "", int(datetime.datetime(2028, 2, 28, 5, tzinfo=datetime.UTC).timestamp())
    )
    assert leap[0] == datetime.date(2028, 2, 29)
    with pytest.raises(UsageFault):
        inputs.moment("2027-02-29", newest)


def test_a_quiet_shop_counts_every_day() -> None:
    # with a few events a day the last of them is a day like the others
    base = datetime.datetime(2026, 10, 1, tzinfo=datetime.UTC)
    times = [base + datetime.timedelta(days=n) for n in range(10)]

    def of(stamps: list[datetime.datetime]) -> datetime.date:
        times = np.array([int(stamp.timestamp()) for stamp in stamps])
        zeros = np.zeros(len(times), np.int64)
        log = Histories(("u",), np.array([0, len(times)]), zeros, zeros, times, zeros)
        empty: Any = None
        found = inputs.Inputs(empty, None, empty, log, Path(), Path(), frozenset())
        return found.next_day()

    assert of(times) == datetime.date(2026, 10, 11)
    busy = [moment for moment in times for _ in range(500)]
    ahead = base + datetime.timedelta(days=10)
    assert of([*busy, ahead]) == datetime.date(2026, 10, 11)
    assert of([*busy, *[ahead] * 5]) == datetime.date(2026, 10, 12)


def test_a_shop_to_which_nobody_returns_has_nights(published: Shop, tmp_path: Path) -> None:
    # every user's events of a day become a visitor of their own
    shutil.copytree(published.folder / "shop", tmp_path / "shop")
    shop = Shop(tmp_path)
    for path in (shop.folder / "shop" / "interactions").iterdir():
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *(f"{path.stem}-{row}" for row in rows)]) + "\n")
    (shop.folder / "shop" / "users.csv").unlink()
    assert shop.night("gates.rules.beats_popular.on=false") == 0  # nobody to list for is known
    folder, manifest = shop.live()
    assert manifest["measures"]["validation_recall"] > 0
    assert manifest["counts"]["users"] == release.read_lists(folder)["user_id"].n_unique() > 500

"""A shop's export with its own names, zones, commas and photos: to data that a night takes."""

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from pipelines import cli

PAGE = Path(__file__).parents[2] / "docs" / "your-data.md"
MAPPING = re.findall(
    r"<!-- try: mapping.toml -->\n```toml\n(.*?)```", PAGE.read_text("utf-8"), re.S
)[0]
LOG = (
    "Kunde;Artikel;Zeit;Aktion\n"
    "Jörg Müller;Art 1/ß;2026-07-01T12:00:00;Ansicht\n"
    "Jörg Müller;Art 2;2026-07-02 08:30;Kauf\n"
)
ITEMS = (
    "Nr;Name;Gruppe;Preis;Foto;Ab;Farbe\n"
    "Art 1/ß;Zelt;Outdoor > Zelte;1.299,50;vorn.jpg|seite/links.jpg;2026-05-01;rot\n"
    "Art 2;Schlafsack;Outdoor;12,90;https://cdn.example.com/2.jpg;;blau\n"
    "Art 3;Kocher;;;./vorn.jpg|fehlt.jpg;2026-06-01;\n"
)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The folder of an export; the settings stand beside it."""
    folder = tmp_path / "raw"
    (folder / "fotos" / "seite").mkdir(parents=True)
    (folder / "Bestellungen 2026.csv").write_text(LOG)
    (folder / "Artikel.csv").write_text(ITEMS)
    for name in ("vorn.jpg", "seite/links.jpg"):
        Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / "fotos" / name)
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return folder


def imported(export: Path, *more: str) -> tuple[int, Path]:
    out = export.with_name("out")
    config = str(export.with_name("mapping.toml"))
    return cli.invoke(["import", "mapping", str(export), str(out), "--config", config, *more]), out


def test_names_zones_commas_and_photos_come_over(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = imported(export)
    assert code == 0
    told = capsys.readouterr().out
    assert "1 named media files are not there" in told
    log = pl.read_parquet(out / "interactions.parquet")
    assert log["user_id"].to_list() == ["Jörg Müller"] * 2
    assert log["timestamp"].dt.strftime("%F %R").to_list() == [
        "2026-07-01 10:00",
        "2026-07-02 06:30",
    ]
    items = pl.read_parquet(out / "items.parquet")
    assert items["image"].to_list() == [
        ["media/vorn.jpg", "media/seite/links.jpg"], [], ["media/vorn.jpg", "media/fehlt.jpg"],
    ]  # fmt: skip
    assert items["price"].to_list() == [1299.5, 12.9, None]
    assert items["created_at"].dt.strftime("%F %R").to_list() == [
        "2026-04-30 22:00", None, "2026-05-31 22:00",
    ]  # fmt: skip
    assert items["category"].to_list() == [["Outdoor", "Zelte"], ["Outdoor"], None]
    urls = pl.read_parquet(out / "image_urls.parquet").to_dicts()
    assert urls == [{"item_id": "Art 2", "url": ["https://cdn.example.com/2.jpg"]}]


def test_check_takes_the_settings_that_an_import_wrote(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = imported(export)
    chosen = ["--config", str(out / "settings.toml"), f"work={export.with_name('work')}"]
    assert code == 0
    assert cli.invoke(["check", *chosen, "catalogue.media_fail=0.5"]) == 0
    told = capsys.readouterr().out
    assert "2 read = 2 kept" in told
    assert "1 of 4 image files are not there" in told
    assert "{" not in told
    assert cli.invoke(["check", "--json", *chosen]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out)["refusals"]
    assert "a night would refuse this data: items: 1 of 4 image paths" in told.err


def test_a_cell_that_cannot_be_read_is_left_blank_and_named(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"Art {n};Topf;;{price};;;\n" for n, price in ((4, "9,90"), (5, "auf Anfrage")))
    (export / "Artikel.csv").write_text(ITEMS + rows)
    code, out = imported(export)
    assert code == 0
    told = capsys.readouterr().out
    assert "1 Preis is not a number (mapping.items.decimal is ','): left blank" in told
    assert "Artikel.csv:6:Preis: is not a number" in told
    assert pl.read_parquet(out / "items.parquet")["price"].to_list()[-2:] == [9.9, None]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("decimal", '"."', "2 of 2 cells cannot be read: Preis is not a number"),
        ("time", '"%d.%m.%Y"', "2 of 2 cells cannot be read: Ab is not a time"),
    ],
)
def test_a_column_that_is_written_otherwise_is_refused_by_its_setting(
    export: Path, capsys: pytest.CaptureFixture[str], setting: str, value: str, said: str
) -> None:
    code, out = imported(export, f"mapping.items.{setting}={value}")
    assert code == 3
    told = capsys.readouterr().err
    assert said in told
    assert f"mapping.items.{setting} is" in told
    assert not out.exists()


def test_events_without_a_weight_are_listed(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = imported(export, "data.events={Ansicht=1.0}")
    assert code == 3
    told = capsys.readouterr().err
    assert "'Kauf' 1" in told
    assert '[data] events = { "Kauf" = 1.0 }' in told
    assert not out.exists()


def test_media_inside_an_archive_are_refused_in_words(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = shutil.make_archive(str(export), "zip", export)
    config = str(export.with_name("mapping.toml"))
    out = str(export.with_name("out"))
    assert cli.invoke(["import", "mapping", archive, out, "--config", config]) == 3
    assert "unpack the archive" in capsys.readouterr().err


def test_check_says_which_rows_a_night_would_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interactions.csv").write_text(
        "user_id,item_id,timestamp,event\n"
        "u,a,2026-07-01T12:00:00Z,view\n"
        "u,b,2026-07-01T12:00:00Z,glance\n"
    )
    (tmp_path / "items.csv").write_text("item_id,title\na,A\n")
    chosen = [f"data.folder={tmp_path}", f"work={tmp_path}-work"]
    assert cli.invoke(["check", *chosen]) == 3
    told = capsys.readouterr()
    assert "1 of 2 rows of interactions are bad (data.quarantine_fail is 1%)" in told.err
    assert "unknown_event" in told.out


def test_a_folder_of_other_names_says_what_it_holds_and_both_ways_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n")
    chosen = [f"data.folder={tmp_path}", f"work={tmp_path}-work"]
    assert cli.invoke(["check", *chosen]) == 3
    told = capsys.readouterr().err
    assert "'orders.csv'" in told
    assert "recsys import mapping" in told


def test_recsys_alone_shows_its_help_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke([]) == 2
    told = capsys.readouterr()
    assert "nightly" in told.out
    assert "error" not in told.err

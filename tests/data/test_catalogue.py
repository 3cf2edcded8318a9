"""The catalogue against bad input (reliability.md D01 to D12), its media, and its artefact."""

import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data import catalogue
from recsys.data.catalogue import Catalogue, CatalogueSettings
from recsys.data.interactions import ingest
from recsys.data.settings import DataSettings, Names
from recsys.errors import GateFault, InputFault
from recsys.vocabulary import Vocabulary

MOVIELENS = Path(__file__).parents[3] / "shared/data/movielens-1m"
LENIENT = CatalogueSettings(media_fail=1)
Items = list[dict[str, Any]]
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a dataset folder with these items, one picture and one clip."""

    def made(items: Items, name: str = "items.jsonl") -> Path:
        (tmp_path / "media").mkdir(exist_ok=True)
        (tmp_path / "media/a.jpg").write_bytes(b"picture")
        (tmp_path / "media/b.mp4").write_bytes(b"clip")
        lines = "".join(json.dumps(item) + "\n" for item in items)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(lines)
        return tmp_path

    return made


def read(folder: Path, settings: CatalogueSettings = LENIENT, **data: Any) -> Catalogue:
    return catalogue.read(DataSettings(**data), settings, folder)


def bad(found: Catalogue) -> list[tuple[int, str, str]]:
    """Row, column and code of what is in quarantine."""
    return found.quarantine.select("row", "column", "code").rows()


def test_a_whole_item(make: Make) -> None:
    folder = make(
        [
            {
                "item_id": "b",
                "title": "<b>Hat</b>",
                "description": "warm &amp; soft",
                "category": ["hats", "wool", "hats", " "],
                "brand": "Acme",
                "price": 12.5,
                "created_at": "2026-01-02T03:04:05+01:00",
                "available": True,
                "image": ["./media/a.jpg", "media/a.jpg"],
                "video": "media/b.mp4",
                "colour": "red",
            },
            {"item_id": "a"},
        ]
    )
    found = read(folder)
    assert found.items["item_id"].to_list() == ["a", "b"]
    assert found.items.row(1, named=True) == {
        "item_id": "b",
        "title": "<b>Hat</b>",
        "description": "warm &amp; soft",
        "category": ["hats", "wool"],
        "brand": "Acme",
        "price": 12.5,
        "created_at": datetime.datetime(2026, 1, 2, 2, 4, 5, tzinfo=datetime.UTC),
        "available": True,
        "image": ["media/a.jpg"],
        "video": ["media/b.mp4"],
        "audio": [],
        "text": "Hat\nwarm & soft",
        "text_hash": hashlib.sha256(b"Hat\nwarm & soft").hexdigest(),
        "image_hash": [hashlib.sha256(b"picture").hexdigest()],
        "video_hash": [hashlib.sha256(b"clip").hexdigest()],
        "audio_hash": [],
        "colour": "red",
    }
    # D06: `a` does not say that it is available, while the column is there
    assert bad(found) == [(2, "available", "bad_available")]
    assert found.items["available"].to_list() == [False, True]
    assert found.counts["with_text"] == found.counts["with_image"] == found.counts["available"] == 1
    assert (found.item_id_type, found.user_id_type, found.users) == ("str", None, None)


def test_only_an_id_is_enough_and_every_column_is_there(make: Make) -> None:
    found = read(make([{"item_id": 7}]))
    assert found.items.columns == [*catalogue.KNOWN, *catalogue.MADE]
    assert found.items["available"].to_list() == [True]
    assert found.items["category"].to_list() == found.items["image"].to_list() == [[]]
    assert found.items["created_at"].dtype == pl.Datetime("us", "UTC")
    assert found.item_id_type == "int"
    assert any("nothing but their id" in line for line in found.warnings)  # D05


# What each bad input must leave behind: items, quarantine, a part of a warning.
CASES: dict[str, tuple[Items, list[str], list[tuple[int, str, str]], str]] = {
    "D04 ids that look like paths": (
        [
            {"item_id": name, "title": "x"}
            for name in ("../../x", "/etc/x", "a/b", "CON", "x" * 300)
        ],
        ["../../x", "/etc/x", "CON", "a/b", "x" * 300],
        [],
        "",
    ),
    "D05 blank text": (
        [{"item_id": "a", "title": " ", "description": None, "image": "media/a.jpg"}],
        ["a"],
        [],
        "",
    ),
    "D05 all missing": (
        [{"item_id": "a", "title": " "}, {"item_id": "b", "title": "x"}],
        ["a", "b"],
        [],
        "",
    ),
    "D06 availability": (
        [
            {"item_id": f"{row}", "title": "x", "available": value}
            for row, value in enumerate(["yes", "1", "TRUE", "", "no", "maybe", "0", None])
        ],
        list("01234567"),
        [(row, "available", "bad_available") for row in (4, 6, 8)],
        "bad_available 3",
    ),
    "D07 media that is not there": (
        [{"item_id": "a", "title": "x", "image": ["media/no.jpg", "media/a.jpg"]}],
        ["a"],
        [],
        "1 of 2 image paths (50.00%) are not there",
    ),
    "D08 media outside": (
        [
            {"item_id": f"{row}", "title": "x", "image": path}
            for row, path in enumerate(["/etc/passwd", "../x.jpg", "media/out.jpg", "media/a.jpg"])
        ],
        list("0123"),
        [
            (1, "image", "media_absolute"),
            (2, "image", "media_parent"),
            (3, "image", "media_symlink_escape"),
        ],
        "3 of 4 image paths",
    ),
    "D09 addresses": (
        [{"item_id": "a", "title": "x", "video": "http://169.254.169.254/latest/meta-data"}],
        ["a"],
        [(1, "video", "media_url")],
        "1 of 1 video paths",
    ),
    "D10 ids that look alike": (
        [{"item_id": name, "title": "x"} for name in ("A1", "a1", "a1 ", "b")],
        ["A1", "a1", "a1 ", "b"],
        [],
        "'A1' and 'a1' and 'a1 '",
    ),
    "D11 prices": (
        [
            {"item_id": f"{row}", "title": "x", "price": value}
            for row, value in enumerate([3, "1,299.00", -1, "$5", "NaN", "4.50", "", None, True])
        ],
        list("012345678"),
        [(row, "price", "bad_price") for row in (2, 3, 4, 5, 9)],
        "bad_price 5",
    ),
    "a time that is none": (
        [{"item_id": f"{row}", "created_at": "2026-01-01T00:00Z"} for row in range(3)]
        + [{"item_id": "3", "created_at": "soon"}, {"item_id": "4", "created_at": ""}],
        list("01234"),
        [(4, "created_at", "bad_timestamp")],
        "bad_timestamp 1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_catalogues(make: Make, case: str) -> None:
    items, ids, quarantined, warning = CASES[case]
    folder = make(items)
    (folder / "media/out.jpg").symlink_to("/etc/hostname")
    found = read(folder)
    assert found.items["item_id"].to_list() == sorted(ids)
    assert bad(found) == quarantined
    assert warning in "\n".join(found.warnings)
    written = catalogue.write(found, folder / "work", "v1")
    assert not list((folder / "work").glob("**/x*"))  # no id became a file name
    assert catalogue.load(written).quarantine.equals(found.quarantine)


def test_prices_and_availability_that_are_right(make: Make) -> None:
    prices = read(make(CASES["D11 prices"][0])).items["price"].to_list()
    assert prices == [3, None, None, None, None, 4.5, None, None, None]
    available = read(make(CASES["D06 availability"][0])).items["available"].to_list()
    assert available == [True, True, True, False, False, False, False, False]


def test_d01_duplicates_name_both_rows(make: Make) -> None:
    folder = make(
        [{"item_id": "a", "title": "old"}, {"item_id": "b"}, {"item_id": "a", "title": "new"}]
    )
    with pytest.raises(InputFault, match="1 of 3 rows repeat item_id") as fault:
        read(folder)
    assert fault.value.where == "items.jsonl row 1 and items.jsonl row 3"
    latest = read(folder, CatalogueSettings(on_duplicate="latest"))
    assert latest.items["title"].to_list() == ["new", None]
    assert latest.counts["rows_replaced"] == 1
    assert "1 rows gave way" in "\n".join(latest.warnings)


def test_d02_rows_on_unknown_items_are_counted(make: Make) -> None:
    folder = make([{"item_id": "a"}])
    row = {"user_id": "u", "timestamp": "2026-01-01T00:00Z"}
    log = [{**row, "item_id": item, "user_id": f"u{n}"} for n, item in enumerate("a" * 98 + "xy")]
    make(log, "interactions.jsonl")
    items = read(folder).items["item_id"]
    found = ingest(DataSettings(folder=str(folder)), items, 1.8e9)
    assert found.account.filtered == {"unknown_item": 2}
    assert "2 of 100 rows" in "\n".join(found.account.warnings)


def test_d03_an_empty_catalogue_is_refused(make: Make) -> None:
    with pytest.raises(InputFault, match="empty"):
        read(make([]))
    with pytest.raises(InputFault, match="no items"):
        read(make([{"item_id": ""}]), quarantine_fail=1)
    (make([]) / "items.jsonl").unlink()
    with pytest.raises(InputFault, match="no items"):
        read(make([], "other.jsonl"))


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_d12_a_column_of_two_kinds_is_named(make: Make, ending: str) -> None:
    folder = make([{"item_id": "a", "category": ["x"]}], "items/1.jsonl")
    make([{"item_id": "b", "category": "x"}], "items/2.jsonl")
    if ending == "parquet":
        for part in (1, 2):
            path = folder / f"items/{part}.jsonl"
            pl.read_ndjson(path).write_parquet(path.with_suffix(".parquet"))
            path.unlink()
    with pytest.raises(InputFault, match="'category'") as fault:
        read(folder)
    assert f"items/1.{ending}" in fault.value.where
    assert f"items/2.{ending}" in fault.value.where


def test_one_file_may_mix_one_category_and_several(make: Make) -> None:
    found = read(
        make([{"item_id": "a", "category": ["x", "y"]}, {"item_id": "b", "category": "z"}])
    )
    assert found.items["category"].to_list() == [["x", "y"], ["z"]]


def test_csv_items(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(
        "sku,category,price,available\n"
        '007,"[""a"", ""b""]",1.5,1\n'
        "7,plain,,0\n"
        '8,"[not json","1,5",maybe\n'
    )
    found = read(tmp_path, names=Names(item_id="sku"))
    assert found.items["item_id"].to_list() == ["007", "7", "8"]
    assert found.items["category"].to_list() == [["a", "b"], ["plain"], ["[not json"]]
    assert found.items["available"].to_list() == [True, False, False]
    assert bad(found) == [(4, "price", "bad_price"), (4, "available", "bad_available")]
    assert found.quarantine["file"].unique().to_list() == ["items.csv"]
    assert found.item_id_type == "str"


def test_interactions_names_do_not_rename_attributes(make: Make) -> None:
    found = read(make([{"item_id": "a", "rating": 4}]), names=Names(weight="rating"))
    assert found.items["rating"].to_list() == [4]


def test_attributes_may_have_any_name(make: Make) -> None:
    names = ("place", "path", "found", "written", "code", "value", "column", "file", "raw", "key")
    item = {"item_id": "a", "price": "?", "image": ["media/a.jpg", "/x"], **dict.fromkeys(names, 5)}
    found = read(make([item]))
    assert found.items.select(names).row(0) == (5,) * len(names)
    assert bad(found) == [(1, "price", "bad_price"), (1, "image", "media_absolute")]


def test_bad_ids_go_to_quarantine_within_the_budget(make: Make) -> None:
    items = [{"item_id": f"{row}", "title": "x"} for row in range(99)] + [{"item_id": "a\tb"}]
    assert bad(read(make(items), quarantine_fail=0.01)) == [(100, "item_id", "control_character")]
    with pytest.raises(InputFault, match=r"1 of 100 rows \(1.00%\)"):
        read(make(items), quarantine_fail=0.009)


def test_media_budgets(make: Make) -> None:
    folder = make([{"item_id": "a", "image": "media/no.jpg"}, {"item_id": "b", "title": "x"}])
    with pytest.raises(GateFault, match="1 of 1 image paths"):  # the media store is gone
        read(folder, CatalogueSettings())
    with pytest.raises(InputFault, match="1 of 1 image paths"):
        read(make([{"item_id": "a", "image": "/etc/x"}]), CatalogueSettings())
    large = read(make([{"item_id": "a", "image": "media/a.jpg"}]),
                 CatalogueSettings(max_media_bytes=3, media_fail=1))  # fmt: skip
    assert bad(large) == [(1, "image", "media_too_large")]


def test_a_made_column_must_be_free(make: Make) -> None:
    with pytest.raises(InputFault, match="name that the catalogue makes") as fault:
        read(make([{"item_id": "a", "text": "x"}]))
    assert fault.value.value == "text"


def test_users_and_their_duplicates(make: Make) -> None:
    folder = make([{"item_id": "a"}])
    make([{"user_id": 2, "city": "Bonn"}, {"user_id": 1}], "users.jsonl")
    found = read(folder)
    assert found.users is not None
    assert found.users.rows() == [("1", None), ("2", "Bonn")]
    assert found.user_id_type == "int"
    make([{"user_id": 2}, {"user_id": 2}], "users.jsonl")
    with pytest.raises(InputFault, match="repeat user_id"):
        read(folder)


def test_a_changed_file_is_refused_where_the_producer_gives_hashes(make: Make) -> None:
    folder = make([{"item_id": "a"}])
    digest = hashlib.sha256((folder / "items.jsonl").read_bytes()).hexdigest()
    manifest = {"files": {"items.jsonl": {"sha256": digest}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert read(folder).counts["items"] == 1
    make([{"item_id": "b"}])
    with pytest.raises(InputFault, match="sha256"):
        read(folder)


def test_round_trip_and_fingerprint(make: Make) -> None:
    folder = make([{"item_id": "b", "image": "media/a.jpg", "price": "x"}, {"item_id": "a"}])
    make([{"user_id": "u", "age": 3}], "users.jsonl")
    found = read(folder)
    back = catalogue.load(catalogue.write(found, folder / "work", "v1", {"dataset": "d"}))
    assert back.items.equals(found.items)
    assert back.users is not None
    assert back.users.equals(found.users)
    assert back.counts == found.counts
    assert back.warnings == found.warnings
    assert catalogue.fingerprint(back) == catalogue.fingerprint(found)
    assert catalogue.fingerprint(read(folder)) == catalogue.fingerprint(found)
    (folder / "media/a.jpg").write_bytes(b"another picture")
    assert catalogue.fingerprint(read(folder)) != catalogue.fingerprint(found)


def test_vectors_of_unknown_items_are_counted(make: Make) -> None:
    folder = make([{"item_id": "a"}])
    (folder / "features").mkdir()
    frame = pl.DataFrame({"item_id": ["a", "gone"], "vector": [[1.0], [2.0]]})
    frame.write_parquet(folder / "features/sound.parquet")
    warnings = "\n".join(read(folder).warnings)
    assert "features/sound.parquet: 1 of 2 vectors" in warnings
    assert "nothing but their id" not in warnings


@pytest.mark.skipif(not MOVIELENS.exists(), reason="../shared/data/movielens-1m is absent")
def test_movielens() -> None:
    found = read(MOVIELENS, CatalogueSettings())
    counts = found.counts
    assert (counts["items"], counts["with_text"], counts["with_image"]) == (3416, 3416, 2921)
    assert (counts["image_absent"], found.quarantine.height, found.warnings) == (0, 0, ())
    assert found.users is not None
    assert found.users.height == 6040
    assert (found.item_id_type, found.user_id_type) == ("int", "int")
    vocabulary = Vocabulary(found.items["item_id"])
    files = catalogue.ready_made(MOVIELENS)
    shapes = {name: catalogue.read_vectors(path, vocabulary) for name, path in files.items()}
    assert {name: values.shape for name, (values, _) in shapes.items()} == {
        "trailer_audio": (3416, 100),
        "trailer_video": (3416, 107),
    }
    assert {int(present.sum()) for _, present in shapes.values()} == {1134}

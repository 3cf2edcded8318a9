"""Finding tables and reading each kind of file: names, types, parts, limits."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recsys.data import tables
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, UsageFault
from recsys.settings import load

TEXT = "user_id,item_id\nu1,i1\n"


def setting(folder: Path, **values: object) -> DataSettings:
    """Settings of a dataset folder."""
    return DataSettings.model_validate({"folder": str(folder), **values})


def test_parts_are_found_in_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("day=2/b.csv", "day=1/c.csv.gz", "day=2/a.jsonl", "_SUCCESS", ".x/d.csv"):
        (tmp_path / "items" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "items" / name).touch()
    found = [path.relative_to(tmp_path / "items").as_posix() for path in
             tables.find(tmp_path, "items")]  # fmt: skip
    assert found == ["day=1/c.csv.gz", "day=2/a.jsonl", "day=2/b.csv"]
    assert tables.find(tmp_path, "users") == []
    (tmp_path / "items" / "notes.txt").touch()
    with pytest.raises(InputFault, match="not a table"):
        tables.find(tmp_path, "items")


def test_jsonl_columns_are_lists_numbers_truths_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"item_id": 7, "image": "a.jpg", "price": 1, "ok": true, "big": 1, "n": 1}\n'
        '{"item_id": "007", "image": ["b.jpg", null, 3], "price": 2.5, "ok": null, "big": '
        '18446744073709551616, "mixed": {"a": [1]}}\n'
    )
    table = tables.read(path, setting(tmp_path), ("item_id",))
    frame = table.frame.drop("row", "byte_offset")
    assert frame.to_dict(as_series=False) == {
        "item_id": ["7", "007"],
        "image": [["a.jpg"], ["b.jpg", None, "3"]],
        "price": [1.0, 2.5],
        "ok": [True, None],
        "big": ["1", "18446744073709551616"],
        "n": [1, None],
        "mixed": [None, '{"a": [1]}'],
    }
    assert frame.schema["image"] == pl.List(pl.String)
    assert not table.integer_ids


def test_parquet_keeps_its_types_and_integer_ids_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    time = datetime(2026, 8, 1, tzinfo=UTC)
    frame = pl.DataFrame({"asin": [7, 8], "category": [["a"], None], "at": [time, None]})
    frame.write_parquet(path)
    names = {"item_id": "asin"}
    table = tables.read(path, setting(tmp_path, names=names), ("item_id",))
    assert table.frame["item_id"].to_list() == ["7", "8"]
    assert table.frame["category"].to_list() == [["a"], None]
    assert table.frame["row"].to_list() == [1, 2]
    assert table.integer_ids == {"item_id"}
    some = tables.read(path, setting(tmp_path, names=names), ("item_id",), ("item_id",))
    assert (some.columns, some.unread) == (["item_id"], ("category", "at"))


def test_a_renamed_column_beside_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("asin,item_id\na,b\n")
    with pytest.raises(InputFault, match="stands twice"):
        tables.read(path, setting(tmp_path, names={"item_id": "asin"}), ("item_id",))


@pytest.mark.parametrize(
    ("header", "says"),
    [("row,item_id", "name that the reader needs"), (",item_id", "has no name")],
)
def test_names_that_cannot_be_used(tmp_path: Path, header: str, says: str) -> None:
    path = tmp_path / "items.csv"
    path.write_text(f"{header}\n1,2\n")
    with pytest.raises(InputFault, match=says):
        tables.read(path, setting(tmp_path), ("item_id",))


def test_csv_parts_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "a.csv").write_text(TEXT)
    (tmp_path / "items" / "b.csv").write_text("user_id,item_id,page\nu1,i1,p\n")
    with pytest.raises(InputFault, match=r"items/b.csv has the column 'page', items/a.csv does"):
        list(tables.read_parts(tables.find(tmp_path, "items"), setting(tmp_path)))


def test_wide_parquet_files_and_key_floods_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": ["a"] * 10_000}).write_parquet(path)
    with pytest.raises(InputFault, match="too large"):
        tables.read(path, setting(tmp_path, max_input_bytes=1000))
    flood = tmp_path / "users.jsonl"
    flood.write_text("".join(f'{{"user_id": 1, "k{n}": 1}}\n' for n in range(1001)))
    with pytest.raises(InputFault, match="1,002 different keys"):
        tables.read(flood, setting(tmp_path))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("timezone=Mars/Base", "IANA"),
        ("encoding=utf-9", "encoding"),
        ("default_event=look", "default_event"),
        ("no_header=true", "columns"),
        ("events={view=0}", "above 0"),
        ("timestamp_unit=h", "timestamp_unit"),
        ("names.user=x", "user_id"),
        ("quarantine_fail=2", "quarantine_fail"),
    ],
)
def test_settings_out_of_range_are_refused(override: str, says: str) -> None:
    with pytest.raises(UsageFault, match=says):
        load(DataSettings, None, [override])

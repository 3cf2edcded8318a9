"""Erasing in one file: which words are the id, and that everything else stays as it was."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import erase_files, erase_texts
from pipelines.erase_texts import MARK, Target
from recsys.data import faults
from recsys.errors import InputFault

USER = Target("user", "u17")
IDS = st.sampled_from(["u1", "u17", "u171", "au17"])


@pytest.mark.parametrize(
    ("identifier", "text", "count"),
    [
        ("u17", "u17 and u171, au17, u17-b, (u17), u17.png", 3),
        ("a@b.c", "mail a@b.c, aa@b.c", 1),
        ("o'n@x", "o'n@x, o&#39;n@x", 2),
        ("jürgen9", "jürgen9 j\\u00fcrgen9", 2),
        ("7", "7 rows of '7' in 7.5 seconds", 1),  # a plain number: only where it is quoted
        ("anna", "anna bought; 'anna' left", 1),
        ("123456789", "123456789 rows", 1),  # too long to be anything else
    ],
)
def test_which_words_are_the_id(identifier: str, text: str, count: int) -> None:
    assert len(Target("user", identifier).sure.findall(text)) == count


def test_an_id_in_the_path_of_the_work_folder_tells_nothing() -> None:
    assert not Target("user", "anna1", paths=("/home/anna1/work",)).telling


def test_json_loses_the_id_and_nothing_else(tmp_path: Path) -> None:
    record = {
        "error": "7 of 70 rows are bad, as line 7: '7,i1,yesterday'",
        "user_id": 7, "rows": 7, "text": "7 of 7",
        "settings": {"nightly": {"blocked": ["7", "8"]}, "work": "/tmp/7"}, "list": [7, "'7'"],
    }  # fmt: skip
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record))
    target = Target("user", "7")
    assert erase_files.places(path, target) == 4
    erase_files.replace(path, target)
    assert json.loads(path.read_text()) == record | {
        "error": f"7 of 70 rows are bad, as line 7: '{MARK},i1,yesterday'",
        "user_id": MARK, "list": [7, MARK],
        "settings": {"nightly": {"blocked": ["8"]}, "work": "/tmp/7"},
    }  # fmt: skip
    assert erase_files.places(path, target) == 0


def test_a_database_keeps_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('create table "odd ""name" (key text, value text, step integer)')
        rows = [("note", "refused u17", 1), ("other", "u171", 2), ("number", None, 17)]
        connection.executemany('insert into "odd ""name" values (?, ?, ?)', rows)
    assert erase_files.places(path, USER) == 1
    erase_files.replace(path, USER)
    assert erase_files.places(path, USER) == 0
    assert b"u17 " not in path.read_bytes().replace(b"u171", b"")
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute('select * from "odd ""name"').fetchall()
    assert kept == [("note", f"refused {MARK}", 1), *rows[1:]]


@given(st.lists(st.tuples(IDS, IDS, IDS), max_size=12))
def test_tables_keep_every_other_row(rows: list[tuple[str, str, str]]) -> None:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "session"], orient="row")
    frame = frame.cast(pl.String)
    left = erase_files.without(frame, USER)
    others = [row for row in rows if row[0] != "u17"]
    assert left.rows() == [(*row[:2], None if row[2] == "u17" else row[2]) for row in others]


def test_a_table_of_items_knows_no_users() -> None:
    items = pl.DataFrame({"item_id": ["u17"], "title": ["u17"], "colour": ["u17"]})
    assert erase_files.without(items, USER).equals(items)
    assert erase_files.without(items, Target("item", "u17")).is_empty()


def test_quarantine_and_failures_lose_its_rows() -> None:
    rows = pl.DataFrame({"row": [1, 2], "code": ["short_row"] * 2, "raw": ["u17,i1", "u18,i1"]})
    kept = erase_files.without(faults.quarantine(rows, "a.csv"), USER)
    assert kept["row"].to_list() == [2]
    failures = pl.DataFrame(
        {"key": ["a", "b", "c"], "code": "torn", "message": ["no", "media/i9.png", "no"]}
    )
    left = erase_files.without(failures, Target("item", "i9", keys=frozenset("c")))
    assert left["key"].to_list() == ["a"]


def test_what_cannot_be_rewritten_is_said(tmp_path: Path) -> None:
    path = tmp_path / "numbers.bin"
    path.write_bytes(b"\x00\xffu17\x00")
    assert erase_files.places(path, USER) == 1
    with pytest.raises(InputFault, match="cannot be rewritten"):
        erase_files.replace(path, USER)
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.bin"]


def test_a_damaged_table_is_said(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(InputFault, match="cannot be searched"):
        erase_files.places(path, USER)


def test_json_that_is_none_counts_as_text() -> None:
    assert erase_texts.in_json("{u17", USER) == ("{" + MARK, 1)

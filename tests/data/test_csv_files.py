"""Fields and row numbers of CSV files against Python's own reader."""

import csv
import io
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import csv_files, tables
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

FIELD = st.text(st.sampled_from('ab",; \n\r\té7'), max_size=6)
ROWS = st.lists(st.lists(FIELD, min_size=2, max_size=3), max_size=8)


def read(data: bytes, **settings: object) -> tables.RawTable:
    """Reads `data` as a file of the columns a and b."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items.csv")
        path.write_bytes(data)
        chosen = DataSettings.model_validate({"folder": folder, **settings})
        return csv_files.read(path, chosen, ("a", "b"), None)


@given(ROWS, st.sampled_from(["\n", "\r\n"]))
def test_fields_and_rows_are_those_of_the_csv_module(rows: list[list[str]], end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    data = text.getvalue().encode()
    table = read(data)
    whole = [(number, *row) for number, row in enumerate(rows, start=2) if len(row) == 2]
    assert list(table.frame.select("row", "a", "b").iter_rows()) == whole
    broken = [number for number, row in enumerate(rows, start=2) if len(row) != 2]
    assert table.quarantine["row"].to_list() == broken
    for frame in (table.frame, table.quarantine):
        for offset in frame["byte_offset"]:
            assert data[offset : offset + 1] == b'"'
            assert data[:offset].endswith(end.encode())


@given(st.binary(max_size=60).map(lambda tail: b"a,b\n" + tail))
def test_any_bytes_are_read_or_refused_and_rows_add_up(data: bytes) -> None:
    try:
        table = read(data)
    except InputFault:
        return
    rows = [*table.frame["row"], *table.quarantine["row"]]
    assert len(rows) == len(set(rows)) == table.read
    assert all(2 <= row <= table.read + table.blank + 1 for row in rows)


@given(st.lists(st.text(st.sampled_from('x" 7é'), max_size=4), min_size=1, max_size=6))
def test_quotes_inside_unquoted_fields_are_letters(fields: list[str]) -> None:
    data = "".join(f"u{field},{number}\n" for number, field in enumerate(fields))
    table = read(b"a,b\n" + data.encode())
    assert table.frame["a"].to_list() == [f"u{field}" for field in fields]


def test_golden_rows_offsets_and_blank_lines() -> None:
    # Offsets: header 0, row 2 at 4, row 3 (blank) at 8, row 4 at 9, row 5 at 11, row 6 at 19.
    table = read(b'a,b\n1,2\n\n3\n"x\ny",4\n5,6,7')
    assert table.frame.rows() == [(2, 4, "1", "2"), (5, 11, "x\ny", "4")]
    bad = table.quarantine.select("row", "byte_offset", "code", "value", "raw").rows()
    assert bad == [
        (4, 9, "short_row", "1 fields of 2", "3"),
        (6, 19, "long_row", "3 fields of 2", "5,6,7"),
    ]
    assert table.blank == 1


def test_names_are_exchanged_and_encodings_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items.csv")
        path.write_bytes("visitor;b\né;ü\n".encode("cp1252"))
        settings = DataSettings.model_validate(
            {
                "folder": folder,
                "encoding": "cp1252",
                "delimiter": ";",
                "names": {"user_id": "visitor"},
            }
        )
        frame = csv_files.read(path, settings, ("user_id",), None).frame
    assert frame.rows() == [(2, None, "é", "ü")]
    assert frame.schema["byte_offset"] == pl.Int64


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_of_one_column(end: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "users.csv")
        path.write_bytes(f"user_id{end}u1{end}{end}u2{end}".encode())
        table = tables.read(path, DataSettings(folder=folder), ("user_id",))
    assert table.frame.select("row", "user_id").rows() == [(2, "u1"), (4, "u2")]
    assert (table.read, table.blank) == (2, 1)

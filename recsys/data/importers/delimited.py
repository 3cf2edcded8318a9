"""Rows and fields of CSV and its relatives: every field a text. Called by `rows`."""

import csv
import difflib
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from recsys.data import csv_head
from recsys.data.importers import blocks
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import ROW, Chunk, Delimited, Refused
from recsys.errors import InputFault

FEW, MANY = "too few fields", "too many fields"


def header(origin: Origin, file: str, form: Delimited) -> list[str]:
    """Names of the columns of a delimited file.

    Raises:
        InputFault: the file is empty or damaged.
    """
    if form.header:
        return list(form.header)
    for block in blocks.blocks(origin, file, quoted=form.quoted):
        return _fields(_text(block, form, file, 1), form, file)
    raise InputFault("the file is empty", where=file, fix="download it again")


def read(origin: Origin, file: str, form: Delimited, wanted: Sequence[str]) -> Iterator[Chunk]:
    """The rows of a file, block by block.

    Raises:
        InputFault: empty, damaged, of another encoding, without a wanted column.
    """
    names: list[str] = list(form.header)
    row = 1
    for block in blocks.blocks(origin, file, quoted=form.quoted):
        text = _text(block, form, file, row)
        if row == 1:
            csv_head.check_line_ends(block, file)
        if not names:
            names = _fields(text, form, file)
            text = text[_row_end(text, form) :]
            row += 1
        check_names(names, wanted, file)
        if text:
            if form.quoted:
                chunk, rows = _quoted(text, names, row, form, file)
            else:
                chunk, rows = _plain(text, names, row, form)
            yield chunk
            row += rows
    if row == 1:
        raise InputFault("the file is empty", where=file, fix="download it again")


def _text(block: bytes, form: Delimited, file: str, row: int) -> str:
    try:
        return block.decode(form.encoding)
    except UnicodeDecodeError as error:
        place = row + block.count(b"\n", 0, error.start)
        raise InputFault(
            f"row {place} is not {form.encoding}",
            value=block[max(0, error.start - 20) : error.start + 10].decode("utf-8", "replace"),
            where=f"{file}:{place}",
            fix='download it again; in a mapping, add encoding = "cp1252" (or another) for this '
            "table",
        ) from None  # fmt: skip


def _row_end(text: str, form: Delimited) -> int:
    """Where the first row ends."""
    if not form.quoted or '"' not in text[: blocks.LONGEST_ROW].split("\n", 1)[0]:
        return text.find("\n") + 1 or len(text)
    ends = blocks.ends(text.encode())
    return len(text.encode()[: int(ends[0]) + 1].decode()) if len(ends) else len(text)


def _fields(text: str, form: Delimited, file: str) -> list[str]:
    first = text[: _row_end(text, form)].rstrip("\r\n")
    if not form.quoted:
        return first.split(form.separator)
    try:
        return next(csv.reader([first], delimiter=form.separator), [])
    except csv.Error as error:
        raise _broken(file, 1, str(error)) from None


def check_names(names: Sequence[str], wanted: Sequence[str], file: str) -> None:
    """Refuses a file without a wanted column.

    Raises:
        InputFault: names what is there and the nearest name.
    """
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise InputFault(
            "a column name stands twice", value=twice, where=f"{file}:1", fix="rename one of them"
        )
    missing = next((name for name in wanted if name not in names), None)
    if missing is None:
        return
    near = difflib.get_close_matches(missing, names, n=1)
    raise InputFault(
        f"the column {missing!r} is missing" + (f"; {near[0]!r} is there" if near else ""),
        value=", ".join(names), where=f"{file}:1",
        fix=f"expected {', '.join(wanted)}: is it another file, version or separator?",
    )  # fmt: skip


def _plain(text: str, names: list[str], first: int, form: Delimited) -> tuple[Chunk, int]:
    """Rows of a block without quotes; and how many lines it has."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    count = len(names)
    parts = 0 if form.last_takes_rest else 1
    frame = (
        pl.DataFrame({ROW: pl.int_range(first, first + len(lines), eager=True), "line": lines})
        .with_columns(pl.col("line").str.strip_suffix("\r"))
        .filter(pl.col("line").str.strip_chars() != "")
        .with_columns(pl.col("line").str.splitn(form.separator, count + parts).alias("fields"))
        .unnest("fields")
    )
    few = pl.col(f"field_{count - 1}").is_null()
    many = pl.col(f"field_{count}").is_not_null() if parts else pl.lit(False)
    bad = frame.filter(few | many).select(ROW, "line", few=few)
    refused = [Refused(row, "", FEW if short else MANY, line) for row, line, short in bad.rows()]
    renamed = {f"field_{place}": name for place, name in enumerate(names)}
    good = frame.filter(~(few | many)).rename(renamed).select(ROW, *names)
    return Chunk(good, refused), len(lines)


def _quoted(
    text: str, names: list[str], first: int, form: Delimited, file: str
) -> tuple[Chunk, int]:
    """Rows of a block of CSV; and how many it has, blank ones included."""
    data = text.encode()
    bad: list[tuple[int, int | None, str]] = []

    def refuse(row: pa.csv.InvalidRow) -> str:
        bad.append((row.number - 1, row.actual_columns, row.text))
        return "skip"

    try:
        table = pa.csv.read_csv(
            pa.py_buffer(data),
            pa.csv.ReadOptions(use_threads=False, block_size=2**30, column_names=names),
            pa.csv.ParseOptions(
                delimiter=form.separator, newlines_in_values=True, ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )  # fmt: skip
    except pa.ArrowException as error:
        raise _broken(file, first, str(error)) from None
    rows = len(blocks.ends(data)) + (not data.endswith(b"\n"))
    if table.num_rows + len(bad) != rows:
        raise _broken(file, first, f"{rows} rows were expected, {table.num_rows + len(bad)} found")
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    gone = np.array([row for row, _, _ in bad], dtype=np.int64)
    numbers = np.delete(np.arange(first, first + rows), gone)
    refused = [
        Refused(first + row, "", MANY if (found or 0) > len(names) else FEW, line)
        for row, found, line in bad
        if line.strip()
    ]
    return Chunk(frame.insert_column(0, pl.Series(ROW, numbers)), refused), rows


def _broken(file: str, row: int, why: str) -> InputFault:
    return InputFault(
        f"no CSV file: {why}", where=f"{file}: from row {row}",
        fix="look for stray quotes and another separator from there on",
    )  # fmt: skip

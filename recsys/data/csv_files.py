"""Reads a CSV file: every field as text, every row accounted for. Called by `tables`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv

from recsys.data import csv_head, csv_quotes, faults, schemas, sources
from recsys.data.raw import RawTable, label
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

BLOCK = 64 * 2**20
Offsets = npt.NDArray[np.int64]
BadRow = tuple[int, int, str]  # index among the data rows, fields found, text


def read(
    path: Path, settings: DataSettings, required: Sequence[str], wanted: Sequence[str] | None
) -> RawTable:
    """Reads one CSV file.

    Raises:
        InputFault: the file as a whole cannot be trusted: header, delimiter, encoding, quotes.
    """
    file = label(path, settings)
    data = sources.load(path, settings)
    csv_head.check_line_ends(data, file)
    csv_head.check_delimiter(data.split(b"\n", 1)[0], settings, required, file)
    starts = csv_quotes.row_starts(data, settings.delimiter, file)
    names = csv_head.names(data[: starts[1] if len(starts) > 1 else None], settings, required, file)
    header = 0 if settings.no_header else 1
    chosen, unread = schemas.choose(names, wanted, file)
    body = data if header == 0 else memoryview(data)[starts[1] if len(starts) > 1 else len(data) :]
    frame, bad = _parse(body, names, chosen, settings, file)
    if frame.height + len(bad) != len(starts) - header:
        raise InputFault(
            f"{len(starts) - header} rows were expected, {frame.height + len(bad)} found",
            where=file, fix="look for stray quotes and line ends",
        )  # fmt: skip
    gone = np.array([row for row, _, _ in bad], dtype=np.int64)
    rows = np.delete(np.arange(header, len(starts)), gone)
    # Offsets in the file as it stands are known only where it was not recoded.
    known = settings.encoding == "utf-8"
    marked = len(sources.UTF8_MARK) if path.suffix == ".csv" and _has_mark(path) else 0
    places = pl.DataFrame({"row": rows + 1, "byte_offset": starts[rows] + marked})
    frame, blank = _without_blank(pl.concat([places, frame], how="horizontal"), data, starts)
    quarantine, blank_bad = _refused(bad, len(names), data, starts, header)
    torn = "torn_row" in quarantine["code"]
    return RawTable(
        file=file,
        frame=frame if known else frame.with_columns(byte_offset=pl.lit(None, pl.Int64)),
        quarantine=faults.quarantine(quarantine, file),
        blank=blank + blank_bad,
        unread=unread,
        warnings=(f"{file}: the last row is cut: the file may be truncated",) if torn else (),
    )


def _has_mark(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(3) == sources.UTF8_MARK


def _parse(
    body: bytes | memoryview, names: list[str], chosen: list[str], settings: DataSettings, file: str
) -> tuple[pl.DataFrame, list[BadRow]]:
    bad: list[BadRow] = []

    def refuse(row: pa.csv.InvalidRow) -> str:
        bad.append((row.number - 1, row.actual_columns, row.text))
        return "skip"

    if not len(body):
        return pl.DataFrame(schema=dict.fromkeys(chosen, pl.String)), bad
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(body),
            pa.csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            pa.csv.ParseOptions(
                delimiter=settings.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                include_columns=chosen,
            ),
        )
    except pa.ArrowException as error:
        raise InputFault(
            f"the CSV file cannot be read: {error}", where=file, fix="mend the row it speaks of"
        ) from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame, bad


def _without_blank(frame: pl.DataFrame, data: bytes, starts: Offsets) -> tuple[pl.DataFrame, int]:
    """Takes out rows that are empty lines; a row of empty fields, as `,,`, stays."""
    fields = [name for name in frame.columns if name not in ("row", "byte_offset")]
    empty = frame.filter(pl.all_horizontal(pl.col(name) == "" for name in fields))
    blank = [row for row in empty["row"] if not line(data, starts, row - 1).strip()]
    return frame.filter(~pl.col("row").is_in(blank)), len(blank)


def _refused(
    bad: list[BadRow], expected: int, data: bytes, starts: Offsets, header: int
) -> tuple[pl.DataFrame, int]:
    """Rows with the wrong number of fields, and how many of them are lines of white space."""
    kept = [(row + header, found, text) for row, found, text in bad if text.strip()]
    ended = data.endswith((b"\n", b"\r"))
    rows = [
        {
            "row": row + 1,
            "byte_offset": int(starts[row]),
            "column": "",
            "code": "long_row" if found > expected
            else "torn_row" if row == len(starts) - 1 and not ended
            else "short_row",
            "value": f"{found} fields of {expected}",
            "raw": text,
        }
        for row, found, text in kept
    ]  # fmt: skip
    return pl.DataFrame(rows, schema={**faults.SCHEMA}, strict=False).drop("file"), len(bad) - len(
        kept
    )


def line(data: bytes, starts: Offsets, index: int) -> bytes:
    """The bytes of the row `index` (0 is the first line) with its line end."""
    end = int(starts[index + 1]) if index + 1 < len(starts) else len(data)
    return data[int(starts[index]) : end]

"""Objects of JSON lines, block by block, read by polars with a stated schema. Called by `rows`."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from recsys.data.importers.plan import ROW

Bad = tuple[int, str, str, str]  # row, column, why, value


def lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The lines of each block, and the number of the first one."""
    first = 1
    for block in blocks:
        found = block.split(b"\n")
        if found[-1] == b"":
            found.pop()
        yield first, found
        first += len(found)


def parsed(
    first: int, found: list[bytes], schema: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, list[Bad]]:
    """Objects as a frame with ROW; the lines that are none or have other types, one by one.

    Args:
        first: number of the first line.
        found: the lines.
        schema: keys that are read, and their types; other keys are passed over.
    """
    numbered = [(row, line) for row, line in enumerate(found, start=first) if line.strip()]
    try:
        return _frame(numbered, schema), []
    except pl.exceptions.PolarsError:
        pass
    good: list[tuple[int, bytes]] = []
    bad: list[Bad] = []
    for row, line in numbered:
        try:
            _frame([(row, line)], schema)
            good.append((row, line))
        except pl.exceptions.PolarsError as error:
            bad.append((row, "", _why(line, error), line[:200].decode("utf-8", "replace")))
    return _frame(good, schema), bad


def _frame(numbered: list[tuple[int, bytes]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    rows = pl.Series(ROW, [row for row, _ in numbered], dtype=pl.Int64)
    if not numbered:
        return pl.DataFrame(schema=dict(schema)).insert_column(0, rows)
    text = b"\n".join(line for _, line in numbered)
    return pl.read_ndjson(io.BytesIO(text), schema=dict(schema)).insert_column(0, rows)


def _why(line: bytes, error: Exception) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return "not valid JSON"
    if not isinstance(value, dict):
        return "not a JSON object"
    return f"another type than expected: {str(error).splitlines()[0]}"

"""From rows of a file to rows of ours: typed, refused where a value is needed and missing, joined.

Called by `importing` for every block of every file.
"""

from collections.abc import Iterator

import polars as pl

from recsys.data.importers import rows
from recsys.data.importers.accounts import Account
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import IDS, KEY, ROW, Chunk, Column, Refused, Table
from recsys.progress import track


def read(table: Table, origin: Origin, account: Account) -> Iterator[pl.DataFrame]:
    """The usable rows of a file, block by block, with ROW and our columns.

    Args:
        table: the file and what becomes of it.
        origin: where it lies.
        account: refused rows are counted there.

    Raises:
        InputFault: as `rows.read`.
    """
    wanted = tuple(dict.fromkeys(name for column in table.columns for name in column.theirs))
    for chunk in track(rows.read(origin, table.file, table.form, wanted), table.file):
        yield _typed(chunk, table, account)


def joined(frame: pl.DataFrame, table: Table, beside: list[pl.DataFrame]) -> pl.DataFrame:
    """Adds the columns of the frames beside a table, row by row of the same id."""
    if not beside:
        return frame
    frame = frame.with_columns(pl.col(IDS[table.name]).cast(pl.String).alias(KEY))
    for other in beside:
        frame = frame.join(other, on=KEY, how="left", maintain_order="left")
    return frame.drop(KEY)


def first_of_each(
    frame: pl.DataFrame, name: str, seen: pl.Series | None, account: Account
) -> pl.DataFrame:
    """Refuses rows whose id stands in an earlier row.

    Args:
        frame: with ROW.
        name: of the id's column.
        seen: ids of the blocks before.
        account: refused rows are counted there.
    """
    repeat = ~frame[name].is_first_distinct()
    if seen is not None:
        repeat |= frame[name].is_in(seen.implode())
    why = "stands in an earlier row"
    bad = frame.filter(repeat).select(ROW, pl.col(name).cast(pl.String))
    account.refuse(Refused(row, name, why, value) for row, value in bad.iter_rows())
    return frame.filter(~repeat)


def _typed(chunk: Chunk, table: Table, account: Account) -> pl.DataFrame:
    account.refuse(chunk.refused)
    frame = pl.DataFrame(
        [chunk.frame[ROW], *(c.value(chunk.frame).alias(c.name) for c in table.columns)]
    )
    good = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    for column in (column for column in table.columns if column.refused):
        missing = good & frame[column.name].is_null()
        theirs = column.theirs[0]
        bad = chunk.frame.filter(missing).select(ROW, pl.col(theirs).cast(pl.String))
        account.refuse(
            Refused(row, theirs, column.refused, "" if value is None else value)
            for row, value in bad.iter_rows()
        )
        good &= ~missing
    for column in (column for column in table.columns if column.lost):
        _lose(column, chunk.frame, frame.filter(good), account)
    return frame.filter(good)


def _lose(column: Column, theirs: pl.DataFrame, kept: pl.DataFrame, account: Account) -> None:
    """Counts the cells of kept rows that hold something of which no value can be made."""
    name = column.theirs[0]
    text = pl.col(name).cast(pl.String).str.strip_chars()
    written = theirs.select(ROW, text).filter(pl.col(name) != "").join(
        kept.select(ROW, value=pl.col(column.name).is_null()), on=ROW, maintain_order="left"
    )  # fmt: skip
    bad = written.filter("value").select(ROW, name)
    cells = (Refused(row, name, column.lost, value) for row, value in bad.iter_rows())
    account.lose(cells, f"{name} {column.lost}", written.height)

"""Reads all parts of the items' table and types them. Called by the catalogue."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data import entities, faults, item_cells, tables
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

TABLE = "items"


@dataclass(frozen=True)
class ItemTable:
    """All parts of the table, typed.

    Attributes:
        frame: items with their places, in the order of the files; ids may repeat.
        rows: how many were read.
        bad_rows, bad_cells: the quarantine of either.
        integers: whether ids are whole numbers outside.
        warnings: what a person should look at.
    """

    frame: pl.DataFrame
    rows: int
    bad_rows: pl.DataFrame
    bad_cells: pl.DataFrame
    integers: bool
    warnings: list[str]


def read(data: DataSettings, made: Collection[str], from_log: RawTable | None = None) -> ItemTable:
    """Reads `items.*` of the dataset folder.

    Args:
        data: from `entities.located`.
        made: names that the table must leave free.
        from_log: what stands for the table where there is none, from `log_items`.

    Raises:
        InputFault: no items, a file that cannot be trusted as a whole, too many bad rows.
    """
    parts = entities.parts(TABLE, "item_id", data) or ([from_log] if from_log else [])
    if not parts:
        raise tables.absent(
            Path(data.folder), TABLE, "a log alone will do with data.items_from_log=true"
        )
    typed = [item_cells.typed(part, data) for part in parts]
    bad_rows = faults.together(
        [part.quarantine for part in parts] + [refused for _, refused, _ in typed]
    )
    rows = sum(part.read for part in parts)
    warnings = [line for part in parts for line in part.warnings]
    warnings += faults.budget(bad_rows, rows, data.quarantine_warn, data.quarantine_fail, TABLE)
    if rows == bad_rows.height:
        raise InputFault(
            "the catalogue has no items", where=f"{data.folder}: {TABLE}",
            fix="write items.parquet, .csv or .jsonl with one row per item",
        )  # fmt: skip
    frame = entities.stacked([frame for frame, *_ in typed], TABLE)
    if taken := sorted(set(made) & set(frame.columns)):
        raise InputFault(
            "a column has a name that the catalogue makes itself", value=taken[0], where=TABLE,
            fix="rename the column",
        )  # fmt: skip
    bad_cells = faults.together([refused for *_, refused in typed])
    integers = all("item_id" in part.integer_ids for part in parts)
    return ItemTable(frame, rows, bad_rows, bad_cells, integers, warnings)

"""The items of a log that comes without a catalogue: their ids, as a table of nothing else.

Called by the ingest and check stages where `data.items_from_log` allows it.
"""

from pathlib import Path

import polars as pl

from recsys.data import faults, interactions, item_table, tables
from recsys.data.erasure import NOBODY, Erased
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings


def read(
    settings: DataSettings,
    now_seconds: float,
    erased: Erased = NOBODY,
    parts_folder: Path | None = None,
) -> RawTable | None:
    """The ids that stand in usable rows of the log, as a part of the items' table.

    Arguments as of `interactions.clean`; kept parts of the log are not read again.

    Returns:
        None where the dataset has a table of items, or the settings do not allow to do without.

    Raises:
        InputFault: as `interactions.clean`.
    """
    if not settings.items_from_log or tables.find(Path(settings.folder), item_table.TABLE):
        return None
    with interactions.opened(settings, now_seconds, erased, parts_folder) as (_, parts, _):
        frames = [pl.scan_parquet(part.rows, glob=False).select("item_id") for part in parts]
        ids = pl.concat(frames).unique().sort("item_id").collect()
        integers = all("item_id" in part.integer_ids for part in parts if part.read)
    return RawTable(
        interactions.TABLE,
        ids.select(
            pl.int_range(1, pl.len() + 1).alias("row"),
            pl.lit(None, pl.Int64).alias("byte_offset"),
            "item_id",
        ),
        faults.empty(),
        integer_ids=frozenset({"item_id"} if integers else ()),
        warnings=(
            f"items: there is no such table, so the {ids.height:,} ids of the log are the "
            "catalogue (data.items_from_log): no titles, no pictures, and nothing new is listed "
            "before its first event",
        ),
    )

"""MMRec's layout: NAME.inter with renumbered ids, and `*_feat.npy` whose row i is the item i.

https://github.com/enoche/MMRec (Zhou 2023): baby, sports, clothing, elec, microlens. Its split
(`x_label`) is left out, and so are pickled files such as user_graph_dict.npy: they can hold code.
"""

import datetime
from typing import Any

import polars as pl

from recsys.data.importers import columns, delimited, rows
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import Column, Delimited, Plan, Table
from recsys.data.time_range import likely_unit
from recsys.errors import InputFault

TABS = Delimited("\t", quoted=False)
QUOTED = r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\""
EARLIEST, LATEST = 3e8, 4e9  # 1979 to 2096, in seconds


def plan(origin: Origin) -> Plan:
    """What to do with the folder of one of MMRec's data sets.

    Raises:
        InputFault: there is no .inter file, or the unit of its times cannot be told.
    """
    file = origin.one("*.inter")
    unit = _unit(origin, file)
    rated = "rating" in delimited.header(origin, file, TABS)
    made = (
        columns.whole_id("user_id", "userID"),
        columns.whole_id("item_id", "itemID"),
        columns.moment("timestamp", unit=unit),
        *([columns.weight("rating")] if rated else []),
    )
    vectors = {name.removesuffix(".npy"): name for name in origin.find("*_feat.npy")}
    settings: dict[str, dict[str, Any]] = {
        "data": {
            "events": {"rating": 1.0}, "default_event": "rating",
            "earliest": datetime.date(1996, 1, 1),
        },
        "features": {"ready_made": sorted(vectors)},
        **{f"features.{kind}": {"encoder": "none"} for kind in ("image", "video")},
    }  # fmt: skip
    tables = (Table("interactions", file, TABS, made), *_items(origin))
    notes = (f"times of {file} are read as {unit}",)
    return Plan(tables, vectors=vectors, settings=settings, notes=notes)


def _items(origin: Origin) -> tuple[Table, ...]:
    """From the metadata where they are there, else the original ids, else nothing."""
    if found := origin.find("meta-*.csv"):
        return (Table("items", found[0], Delimited(), _item()),)
    if origin.find("i_id_mapping.csv"):
        made = (columns.whole_id("item_id", "itemID"), columns.text("asin", "asin"))
        return (Table("items", "i_id_mapping.csv", TABS, made),)
    return ()


def _item() -> tuple[Column, ...]:
    pairs = pl.col("categories").str.extract_all(QUOTED).list.eval(pl.element().str.slice(1))
    names = pairs.list.eval(pl.element().str.head(-1)).list.unique(maintain_order=True)
    return (
        columns.whole_id("item_id", "itemID"),
        columns.text("asin", "asin"),
        columns.text("title", "title"),
        columns.text("description", "description"),
        columns.text("brand", "brand"),
        columns.number("price", "price"),
        columns.made("category", "categories", names),
    )


def _unit(origin: Origin, file: str) -> str:
    """s or ms: which of them puts the middle one of the first times into this age."""
    for chunk in rows.read(origin, file, TABS, ("timestamp",)):
        middle = chunk.frame["timestamp"].cast(pl.Float64, strict=False).median()
        unit = likely_unit(middle, EARLIEST, LATEST) if isinstance(middle, float) else None
        if unit in ("s", "ms"):
            return unit
        break
    raise InputFault(
        "times are neither seconds nor milliseconds", where=f"{file}: timestamp",
        fix="take this file through `recsys import mapping`, which lets you state their unit",
    )  # fmt: skip

"""Any CSV or Parquet files: a settings section says which column of theirs is which of ours."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import polars as pl

from recsys.data.importers import columns
from recsys.data.importers.mapping_settings import (
    MappedItems,
    MappedLog,
    MappedTable,
    MappingSettings,
    TimedTable,
)
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import IDS, Column, Delimited, Form, ParquetFile, Plan, Table
from recsys.data.item_cells import LISTS
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, UsageFault, shown

REQUIRED = {
    "interactions": ("user_id", "item_id", "timestamp"),
    "items": ("item_id",),
    "users": ("user_id",),
}
UNITS = ("s", "ms", "us", "ns")
NAMES = 12  # of files, columns or events, in a message
Value = Callable[[pl.DataFrame], pl.Series]


def plan(origin: Origin, settings: MappingSettings, data: DataSettings) -> Plan:
    """What to do with the files that the settings name.

    Args:
        origin: where they lie.
        settings: the mapping.
        data: events and their weights, for the settings file of the dataset.

    Raises:
        UsageFault: the mapping lacks a needed column, or the event.
        InputFault: no file fits a pattern.
    """
    log, items = settings.interactions, settings.items
    if not log.files:
        raise UsageFault(
            "no files of interactions are named", where="mapping.interactions.files",
            fix=f"name a file or pattern below PATH; there are: {_listed(origin.names)}",
        )  # fmt: skip
    if not items.timezone:
        items = items.model_copy(update={"timezone": log.timezone})
    tables = [
        *_tables("interactions", log, origin, data),
        *_tables("items", items, origin, data),
        *_tables("users", settings.users, origin, data),
    ]
    media = {"image", "video"} - set(items.columns)
    absent = {f"features.{name}": {"encoder": "none"} for name in sorted(media)}
    return Plan(
        tuple(tables), settings={"data": _events(log, data), **absent}, media_folder=items.media
    )


def _events(log: MappedLog, data: DataSettings) -> dict[str, object]:
    if log.event:
        return {"events": {log.event: log.weight}, "default_event": log.event,
                "earliest": data.earliest}  # fmt: skip
    return {"events": data.events, "default_event": data.default_event, "earliest": data.earliest}


def _tables(
    name: Literal["interactions", "items", "users"],
    mapped: MappedTable,
    origin: Origin,
    data: DataSettings,
) -> list[Table]:
    if not mapped.files:
        return []
    section = f"mapping.{name}"
    for needed in REQUIRED[name]:
        if needed not in mapped.columns:
            raise UsageFault(
                f"no column is named for {needed}", where=f"{section}.columns",
                fix=f'add {needed} = "what the file calls it"',
            )  # fmt: skip
    found = origin.find(mapped.files)
    if not found:
        raise InputFault(
            "no file fits", value=mapped.files, where=f"{section}.files",
            fix=f"there are: {_listed(origin.names)}",
        )  # fmt: skip
    made = tuple(_column(ours, theirs, mapped, data) for ours, theirs in mapped.columns.items())
    return [Table(name, file, _form(file, mapped), made) for file in found]


def _form(file: str, mapped: MappedTable) -> Form:
    if file.endswith(".parquet"):
        return ParquetFile()
    return Delimited(mapped.separator, mapped.header, encoding=mapped.encoding)


def _column(ours: str, theirs: str, mapped: MappedTable, data: DataSettings) -> Column:
    if ours in IDS.values():
        return columns.text_id(ours, theirs)
    if isinstance(mapped, TimedTable) and ours in ("timestamp", "created_at"):
        return _moment(ours, theirs, mapped)
    if isinstance(mapped, MappedLog) and ours == "event":
        return _event(theirs, data)
    if (type(mapped), ours) in ((MappedLog, "weight"), (MappedItems, "price")):
        return _number(ours, theirs, mapped)
    if ours in mapped.lists:
        return columns.split(ours, theirs, mapped.lists[ours])
    return (columns.either if ours in LISTS else columns.kept)(ours, theirs)


def _moment(ours: str, theirs: str, mapped: TimedTable) -> Column:
    unit = mapped.time if mapped.time in UNITS else ""
    pattern = "" if unit or mapped.time == "iso" else mapped.time
    made = columns.moment(theirs, unit, mapped.timezone, pattern)
    section = "mapping.items" if isinstance(mapped, MappedItems) else "mapping.interactions"
    why = f"{made.refused} ({section}.time is {shown(mapped.time)})"
    refused, lost = (why, "") if ours == "timestamp" else ("", why)  # an item may lack its date
    return Column(ours, made.theirs, _stated(made.value, section), refused, lost)


def _stated(value: Value, section: str) -> Value:
    """`value`, with what to do in the words of this section where unit or zone is missing."""

    def told(frame: pl.DataFrame) -> pl.Series:
        try:
            return value(frame)
        except InputFault as fault:
            raise InputFault(
                fault.what, value=fault.value, where=f"{section}: {fault.where}",
                fix=f"set {section}.time to a unit (s, ms, us, ns) or a pattern, or "
                f"{section}.timezone",
            ) from None  # fmt: skip

    return told


def _event(theirs: str, data: DataSettings) -> Column:
    """What a row is. Where many are something without a weight, all of that is said at once."""

    def value(frame: pl.DataFrame) -> pl.Series:
        given = frame[theirs].cast(pl.String).str.strip_chars()
        fits = given.is_in(list(data.events))
        if (~fits).sum() > data.quarantine_fail * given.len():
            found = given.filter(~fits).value_counts(sort=True).drop_nulls()
            names = found[theirs].head(NAMES).to_list()
            counts = ", ".join(
                f"{shown(name)} {count:,}" for name, count in found.head(NAMES).rows()
            )
            weights = ", ".join(f'"{name}" = 1.0' for name in names)
            raise InputFault(
                "the log has events that have no weight", value=counts or "blank",
                where=f"mapping.interactions: {theirs}",
                fix=f"give them theirs: [data] events = {{ {weights} }} and default_event",
            )  # fmt: skip
        return given.set(~fits.fill_null(False), None)

    return Column("event", (theirs,), value, "is not among data.events")


def _number(ours: str, theirs: str, mapped: MappedTable) -> Column:
    """A weight of an event, or a price; in texts a decimal comma becomes a point."""
    lost = f"is not a number (mapping.items.decimal is {shown(mapped.decimal)})"
    price = replace(columns.number(ours, theirs), lost=lost)
    made = price if ours == "price" else columns.weight(theirs)

    def value(frame: pl.DataFrame) -> pl.Series:
        given = frame[theirs]
        if mapped.decimal == "," and given.dtype == pl.String:
            given = given.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        return made.value(frame.with_columns(given))

    return replace(made, value=value)


def _listed(names: tuple[str, ...]) -> str:
    more = ", ..." if len(names) > NAMES else ""
    return (", ".join(map(shown, names[:NAMES])) or "none") + more

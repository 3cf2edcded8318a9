"""Any CSV or Parquet files: a settings section says which column of theirs is which of ours."""

import codecs
import zoneinfo
from collections.abc import Callable
from typing import Literal

import polars as pl
from pydantic import Field, field_validator

from recsys.data.importers import columns
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import IDS, Column, Delimited, Form, ParquetFile, Plan, Table
from recsys.data.item_cells import LISTS
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, UsageFault
from recsys.settings import Section

REQUIRED = {
    "interactions": ("user_id", "item_id", "timestamp"),
    "items": ("item_id",),
    "users": ("user_id",),
}
UNITS = ("s", "ms", "us", "ns")


class MappedTable(Section):
    """Which files hold a table, how they are written, and what their columns are called."""

    files: str = Field(
        "", description="Name or pattern below PATH, such as orders-*.csv.gz; empty: no such table."
    )
    columns: dict[str, str] = Field(
        {}, description="Our name = theirs; names that are not ours become attributes."
    )
    separator: str = Field(",", min_length=1, max_length=1, description="Between fields of a CSV.")
    encoding: str = Field("utf-8", description="Of CSV files, such as latin-1 or cp1252.")
    header: tuple[str, ...] = Field(
        (), description="Names of the fields of CSV files without a header."
    )
    lists: dict[str, str] = Field(
        {}, description="Our name = what separates its parts, such as category = '|'."
    )

    @field_validator("encoding")
    @classmethod
    def _with_byte_line_ends(cls, value: str) -> str:
        try:
            if "a\n".encode(codecs.lookup(value).name) == b"a\n":
                return codecs.lookup(value).name
        except LookupError:
            pass
        raise ValueError("not a known encoding with plain line ends, as utf-8 or latin-1")


class MappedLog(MappedTable):
    """Interactions: also how times are written, and what a row is."""

    time: str = Field(
        "iso", min_length=1, description="iso, an epoch unit (s, ms, us, ns), or as in strptime."
    )
    timezone: str = Field("", description="IANA zone of times without one; empty refuses them.")
    event: str = Field("", description="What every row is, where no column says it.")
    weight: float = Field(1.0, gt=0, description="Weight of `event`.")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value and value not in zoneinfo.available_timezones():
            raise ValueError("not an IANA time zone, such as UTC or Europe/Berlin")
        return value


class MappingSettings(Section):
    """What `recsys import mapping` reads; the stages do not look at it."""

    interactions: MappedLog = Field(MappedLog(), description="The log.")
    items: MappedTable = Field(MappedTable(), description="The catalogue; without one: ids only.")
    users: MappedTable = Field(MappedTable(), description="People, if they are known.")


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
    log = settings.interactions
    if not log.files:
        raise UsageFault(
            "no files of interactions are named", where="mapping.interactions.files",
            fix="name a file below PATH, such as orders.csv",
        )  # fmt: skip
    tables = [
        *_tables("interactions", log, origin),
        *_tables("items", settings.items, origin),
        *_tables("users", settings.users, origin),
    ]
    media = {"image", "video"} - set(settings.items.columns)
    absent = {f"features.{name}": {"encoder": "none"} for name in sorted(media)}
    return Plan(tuple(tables), settings={"data": _events(log, data), **absent})


def _events(log: MappedLog, data: DataSettings) -> dict[str, object]:
    if log.event:
        return {"events": {log.event: log.weight}, "default_event": log.event,
                "earliest": data.earliest}  # fmt: skip
    return {"events": data.events, "default_event": data.default_event, "earliest": data.earliest}


def _tables(
    name: Literal["interactions", "items", "users"], mapped: MappedTable, origin: Origin
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
            fix=f"there are: {', '.join(origin.names[:8]) or 'none'}",
        )  # fmt: skip
    made = tuple(_column(ours, theirs, mapped) for ours, theirs in mapped.columns.items())
    return [Table(name, file, _form(file, mapped), made) for file in found]


def _form(file: str, mapped: MappedTable) -> Form:
    if file.endswith(".parquet"):
        return ParquetFile()
    return Delimited(mapped.separator, mapped.header, encoding=mapped.encoding)


def _column(ours: str, theirs: str, mapped: MappedTable) -> Column:  # noqa: PLR0911
    if ours in IDS.values():
        return columns.text_id(ours, theirs)
    if isinstance(mapped, MappedLog) and ours == "timestamp":
        unit = mapped.time if mapped.time in UNITS else ""
        pattern = "" if unit or mapped.time == "iso" else mapped.time
        made = columns.moment(theirs, unit, mapped.timezone, pattern)
        return Column(made.name, made.theirs, _stated(made.value), made.refused)
    if isinstance(mapped, MappedLog) and ours == "weight":
        return columns.weight(theirs)
    if ours in mapped.lists:
        return columns.split(ours, theirs, mapped.lists[ours])
    if ours in LISTS:
        return columns.either(ours, theirs)
    if ours == "price":
        return columns.number(ours, theirs)
    return columns.kept(ours, theirs)


def _stated(value: Callable[[pl.DataFrame], pl.Series]) -> Callable[[pl.DataFrame], pl.Series]:
    """`value`, with what to do in the words of this section where unit or zone is missing."""

    def told(frame: pl.DataFrame) -> pl.Series:
        try:
            return value(frame)
        except InputFault as fault:
            raise InputFault(
                fault.what, value=fault.value, where=f"mapping.interactions: {fault.where}",
                fix="set mapping.interactions.time to a unit (s, ms, us, ns) or a pattern, or "
                "mapping.interactions.timezone",
            ) from None  # fmt: skip

    return told

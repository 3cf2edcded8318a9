"""The section [mapping]: which file is which table, and which of its columns is which of ours."""

import codecs
from typing import Literal

from pydantic import Field, field_validator

from recsys.data.settings import TimeZone
from recsys.settings import Section


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
    decimal: Literal[".", ","] = Field(
        ".", description="What stands before the cents of a price or weight; 1.299,00 is a comma's."
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


class TimedTable(MappedTable):
    """A table with times: the log's timestamp, the catalogue's created_at."""

    time: str = Field(
        "iso", min_length=1, description="iso, an epoch unit (s, ms, us, ns), or as in strptime."
    )
    timezone: TimeZone = Field(
        "", description="IANA zone of times without one; empty refuses them (items: the log's)."
    )


class MappedLog(TimedTable):
    """Interactions: also what a row is."""

    event: str = Field("", description="What every row is, where no column says it.")
    weight: float = Field(1.0, gt=0, description="Weight of `event`.")


class MappedItems(TimedTable):
    """The catalogue: also where its pictures lie."""

    media: str = Field(
        "", description="Folder below PATH where image, video and audio begin; empty: PATH itself."
    )


class MappingSettings(Section):
    """What `recsys import mapping` reads; the stages do not look at it."""

    interactions: MappedLog = Field(MappedLog(), description="The log.")
    items: MappedItems = Field(MappedItems(), description="The catalogue; without one: ids only.")
    users: MappedTable = Field(MappedTable(), description="People, if they are known.")

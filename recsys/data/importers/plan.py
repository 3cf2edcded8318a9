"""The one shape of every importer: files, how they are written, what becomes of each column."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import polars as pl

ROW = "row of the file"  # which row a value came from; no data column is called so
KEY = "key"  # the id, as text, that a table or frame beside another one is joined by

TableName = Literal["interactions", "items", "users", "image_urls"]
IDS: dict[TableName, str] = {"items": "item_id", "users": "user_id", "image_urls": "item_id"}


@dataclass(frozen=True)
class Delimited:
    """A text file of rows and fields.

    Attributes:
        separator: what stands between fields; several characters only where nothing is quoted.
        header: names of the fields of a file without a header; empty where row 1 has them.
        quoted: whether fields may stand in double quotes and then hold separators and line ends.
        encoding: one in which a line end is the byte 10.
        last_takes_rest: whether the last field holds all that is left of the line.
    """

    separator: str = ","
    header: tuple[str, ...] = ()
    quoted: bool = True
    encoding: str = "utf-8"
    last_takes_rest: bool = False


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line; `schema` has the keys that are read, all others are passed over."""

    schema: Mapping[str, pl.DataType]


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file."""


Form = Delimited | JsonLines | ParquetFile


@dataclass(frozen=True)
class Column:
    """One column of ours.

    Attributes:
        name: ours.
        theirs: columns of the file that it is made from.
        value: from a frame with `theirs` to the typed column; null where there is no value.
        refused: what is said of a row without a value, which is then refused; empty lets it pass.
        lost: what is said of a cell that holds something of which no value can be made, in a row
            that is kept; empty where every cell has a value.
    """

    name: str
    theirs: tuple[str, ...]
    value: Callable[[pl.DataFrame], pl.Series]
    refused: str = ""
    lost: str = ""


@dataclass(frozen=True)
class Table:
    """One file, and the table of ours that its rows go into.

    Attributes:
        name: of our table; several files may go into one.
        file: as `Origin` names it.
        form: how it is written.
        columns: ours.
        beside: further columns, joined by the id: frames, or files whose first column is KEY.
    """

    name: TableName
    file: str
    form: Form
    columns: tuple[Column, ...]
    beside: "tuple[Table | pl.DataFrame, ...]" = ()


@dataclass(frozen=True)
class Plan:
    """All that an import does.

    Attributes:
        tables: files to read; without items, the items are those of the interactions.
        media: file of the origin -> path in the dataset folder.
        vectors: modality name -> `.npy` file whose row i belongs to the item i.
        settings: section -> key -> value: what `settings.toml` shall say of this data.
        notes: what a person should know.
        media_folder: folder of the origin where the media that items name begin, empty for its
            own; None where `media` says all.
    """

    tables: tuple[Table, ...]
    media: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    media_folder: str | None = None


class Refused(NamedTuple):
    """A row that cannot be used: its number (1 is the first line), column, why, and the value."""

    row: int
    column: str
    why: str
    value: str


class Chunk(NamedTuple):
    """Rows of one block: ROW and the columns of the file; and the rows that have none."""

    frame: pl.DataFrame
    refused: list[Refused]

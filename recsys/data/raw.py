"""What a raw reader hands over: the rows as they stand, the rows that are none, and the counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data.settings import DataSettings

PLACE = ("row", "byte_offset")


@dataclass(frozen=True)
class RawTable:
    """One file of a table.

    Attributes:
        file: how messages name it (relative to the dataset folder).
        frame: its readable rows. `row` (i64, 1-based; a CSV's header is row 1), `byte_offset` (i64;
            null for parquet), then the columns by our names: CSV texts, JSONL texts, numbers,
            truth values or lists of texts, parquet's own types; `user_id` and `item_id` are texts.
        quarantine: rows that could not be read, as `faults.SCHEMA`.
        blank: empty lines; they count nowhere else.
        unread: columns that the file has and nobody wanted.
        integer_ids: which of `user_id`, `item_id` were numbers in the file.
        warnings: what the reader noticed.
    """

    file: str
    frame: pl.DataFrame
    quarantine: pl.DataFrame
    blank: int = 0
    unread: tuple[str, ...] = ()
    integer_ids: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """Rows of the file that hold anything: readable and quarantined ones."""
        return self.frame.height + self.quarantine.height

    @property
    def columns(self) -> list[str]:
        """Names of the data columns."""
        return [name for name in self.frame.columns if name not in PLACE]


@dataclass(frozen=True)
class Shape:
    """What the parts of a table must agree in.

    Attributes:
        file: how messages name the part.
        kinds: the family of each data column's type, in the order of the columns.
    """

    file: str
    kinds: Mapping[str, str]


def label(path: Path, settings: DataSettings) -> str:
    """The file's name in messages: relative to the dataset folder where it lies in it."""
    folder = Path(settings.folder)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def ours(settings: DataSettings) -> dict[str, str]:
    """Our name of each known column, by what the files call it."""
    return {str(theirs): known for known, theirs in settings.names}

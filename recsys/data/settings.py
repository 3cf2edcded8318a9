"""What a dataset folder looks like and how much dirt in it is tolerated; used by every reader."""

import codecs
import datetime
import math
import zoneinfo
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    field_serializer,
    field_validator,
    model_validator,
)

from recsys.settings import PlaceText, Section


def _known_zone(value: str) -> str:
    if value and value not in zoneinfo.available_timezones():
        raise ValueError("not an IANA time zone, such as UTC or Europe/Berlin")
    return value


TimeZone = Annotated[str, AfterValidator(_known_zone)]  # its name, or nothing


class Names(Section):
    """What the files call the columns that the project knows."""

    user_id: str = Field(default="user_id", min_length=1, description="Column of the user's id.")
    item_id: str = Field(default="item_id", min_length=1, description="Column of the item's id.")
    timestamp: str = Field(
        default="timestamp", min_length=1, description="Column of the event's time."
    )
    event: str = Field(default="event", min_length=1, description="Column of the kind of event.")
    weight: str = Field(
        default="weight",
        min_length=1,
        description="Column of the event's weight, such as 'rating'.",
    )


class DataSettings(Section):
    """The dataset folder: where it is, how to read it, what to do with bad rows."""

    folder: PlaceText = Field(
        "dataset",
        min_length=1,
        description="The dataset folder, or its address in an object store: s3://BUCKET/FOLDER, "
        "gs://, az://.",
    )
    names: Names = Field(Names(), description="What the files call the known columns.")
    extra_columns: tuple[str, ...] = Field(
        (), description="Further interaction columns to keep, as text."
    )
    delimiter: str = Field(
        ",", min_length=1, max_length=1, description="What separates the fields of a CSV file."
    )
    encoding: str = Field("utf-8", description="Encoding of CSV and JSONL files.")
    no_header: bool = Field(
        False, description="Whether CSV files start with data; then `columns` names the fields."
    )
    columns: tuple[str, ...] = Field(
        (), description="Names of the fields, in order, of CSV files without a header."
    )
    max_input_bytes: int = Field(
        8 * 2**30, ge=1, description="Largest file that is read, in bytes after decompression."
    )
    max_ratio: float = Field(
        100.0, gt=1, description="Largest decompressed : compressed size of a .gz or .zst file."
    )
    timestamp_unit: Literal["", "s", "ms", "us", "ns"] = Field(
        "", description="Unit of epoch numbers in time columns; empty refuses such numbers."
    )
    timezone: TimeZone = Field(
        "", description="IANA zone of times without one, as Europe/Berlin; empty refuses them."
    )
    earliest: datetime.date = Field(
        datetime.date(2000, 1, 1), description="Events before this day (UTC) cannot be right."
    )
    events: dict[str, float] = Field(
        {"view": 1.0, "cart": 3.0, "purchase": 5.0},
        min_length=1,
        description="Known events and the weight of one; other events are quarantined.",
    )
    default_event: str = Field(
        "view", description="What every row is where the log has no event column."
    )
    min_weight: float | None = Field(
        None, description="Rows of a smaller weight are left out and counted as filtered."
    )
    items_from_log: bool = Field(
        False,
        description="Without a table of items: take the ids of the log as a catalogue of nothing "
        "else; otherwise that is refused.",
    )
    quarantine_warn: float = Field(
        0.001, ge=0, le=1, description="Share of bad rows above which a warning is given."
    )
    quarantine_fail: float = Field(
        0.01, ge=0, le=1, description="Share of bad rows above which the input is refused."
    )
    unknown_items_warn: float = Field(
        0.01, ge=0, le=1, description="Share of rows on items outside the catalogue that warns."
    )
    unknown_items_fail: float = Field(
        0.10, ge=0, le=1, description="Share of rows on items outside the catalogue that refuses."
    )
    buckets: int = Field(
        16,
        ge=1,
        le=9999,
        description="Into how many parts the users are split (by hash); ingest has the rows of one "
        "in memory at a time.",
    )
    chunk_rows: int = Field(
        1_000_000, ge=1, description="How many rows of a Parquet file ingest checks at a time."
    )
    _address: str = PrivateAttr("")

    @property
    def address(self) -> str:
        """Where the dataset lies, if that is an object store; `folder` is its mirror then."""
        return self._address

    @property
    def given(self) -> str:
        """What `folder` was set to: the folder or the address of the dataset."""
        return self._address or self.folder

    def mirrored(self, folder: Path) -> Self:
        """These settings with `folder` as the mirror of the address that stands there now."""
        mirrored = self.model_copy(update={"folder": str(folder)})
        mirrored._address = self.folder
        return mirrored

    @field_serializer("folder")
    def _as_written(self, _: str) -> str:
        return self.given

    @field_validator("delimiter")
    @classmethod
    def _usable_delimiter(cls, value: str) -> str:
        if not value.isascii() or value.isalnum() or value in '"\r\n\0.-+':
            raise ValueError("one ASCII sign such as , ; | or a tab")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError("not an encoding that Python knows, such as utf-8, latin-1") from None

    @field_validator("events")
    @classmethod
    def _usable_weights(cls, value: dict[str, float]) -> dict[str, float]:
        bad = [name for name, weight in value.items() if not math.isfinite(weight) or weight <= 0]
        if bad or "" in value:
            raise ValueError(f"event names and weights above 0 are needed; wrong: {bad or ['']}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.default_event not in self.events:
            known = ", ".join(self.events)
            raise ValueError(
                f"default_event {self.default_event!r} is not among events; set it to one: {known}"
            )
        if self.no_header and not self.columns:
            raise ValueError("no_header needs columns: the names of the fields in their order")
        if self.columns and not self.no_header:
            raise ValueError("columns is for files without a header: set no_header too")
        return self

"""Types the cells of one raw part of the catalogue; what no column can hold goes to quarantine.

A bad cell costs the item that one value, never the item.
"""

import json

import polars as pl

from recsys.data import faults, timestamps
from recsys.data.entities import FILE, cells, usable
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

TEXTS = ("title", "description", "brand")
MEDIA = ("image", "video", "audio")
LISTS = ("category", *MEDIA)
KNOWN: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "title": pl.String(),
    "description": pl.String(),
    "category": pl.List(pl.String()),
    "brand": pl.String(),
    "price": pl.Float64(),
    "created_at": timestamps.UTC,
    "available": pl.Boolean(),
    **{name: pl.List(pl.String()) for name in MEDIA},
}
# What an item has where its table lacks the column.
ABSENT: dict[str, object] = {"available": True, **{name: [] for name in LISTS}}
PRICE = r"^[0-9]+(\.[0-9]+)?$"
YES, NO = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
PLACES = (FILE, "row", "byte_offset")


def typed(table: RawTable, data: DataSettings) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Types one part.

    Args:
        table: as read, with item_id.
        data: unit and zone of times.

    Returns:
        items with their places, the columns of KNOWN and every other one; the quarantine of rows
        without a usable id; the quarantine of cells.

    Raises:
        InputFault: created_at needs a unit or zone that is not stated; a column of no usable type.
    """
    raw, bad_rows = usable(table.frame.with_columns(pl.lit(table.file).alias(FILE)), "item_id")
    columns = [raw[place] for place in PLACES] + [raw["item_id"]]
    bad_cells = []
    for name in [name for name in KNOWN if name != "item_id"]:
        if name not in raw.columns:
            default = pl.Series(name, [ABSENT.get(name)], dtype=KNOWN[name])
            columns.append(default.new_from_index(0, raw.height))
            continue
        column, code = _cell(raw[name], data, table.file)
        columns.append(column.alias(name))
        bad_cells.append(_bad(raw, name, code))
    others = [name for name in raw.columns if name not in KNOWN and name not in PLACES]
    columns += [_attribute(raw[name], table.file) for name in others]
    return pl.DataFrame(columns), bad_rows, faults.together(bad_cells)


def _cell(column: pl.Series, data: DataSettings, file: str) -> tuple[pl.Series, pl.Series]:
    """The typed column, and the code of what is wrong with each cell (null where nothing is)."""
    fine = pl.repeat(None, column.len(), dtype=pl.String, eager=True)
    match column.name:
        case "title" | "description" | "brand":
            return _text(column, file), fine
        case "price":
            return _price(column, file)
        case "available":
            return _available(column, file)
        case "created_at":
            times = timestamps.parse(column, data, file)
            blank = column.cast(pl.String).fill_null("").str.strip_chars() == ""
            return times["timestamp"], times["code"].set(blank, None)
        case _:
            return _lists(column, file), fine


def _text(column: pl.Series, file: str) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        return _lists(column, file).list.join("\n")
    return _plain(column, file)


def _plain(column: pl.Series, file: str) -> pl.Series:
    """Texts and numbers as texts."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise InputFault(
            f"{column.name} is {column.dtype}", where=f"{file}: {column.name}", fix="write texts"
        )
    return column.cast(pl.String)


def _lists(column: pl.Series, file: str) -> pl.Series:
    """One text or a list of them as a list without blanks and repeats; `["a"]` in CSV is a list."""
    if isinstance(column.dtype, pl.List | pl.Array):
        inner = column.dtype.inner
        if isinstance(inner, pl.List | pl.Array | pl.Struct):
            raise InputFault(
                f"{column.name} is {column.dtype}", where=f"{file}: {column.name}",
                fix="write one text or a list of texts",
            )  # fmt: skip
        lists = column.cast(pl.List(pl.String))
    else:
        texts = _plain(column, file)
        lists = pl.Series([_listed(text) for text in texts], dtype=pl.List(pl.String))
    places = pl.DataFrame({"place": pl.int_range(lists.len(), eager=True)})
    kept = (
        places.with_columns(value=lists)
        .explode("value")
        .with_columns(pl.col("value").str.strip_chars())
        .filter(pl.col("value").fill_null("") != "")
        .unique(maintain_order=True)
        .group_by("place", maintain_order=True)
        .agg("value")
    )
    joined = places.join(kept, on="place", how="left", maintain_order="left")
    return joined["value"].to_frame().select(
        pl.col("value").fill_null(pl.lit([], dtype=pl.List(pl.String)))
    ).to_series()  # fmt: skip


def _listed(text: str | None) -> list[str]:
    if text is None:
        return []
    if text.lstrip().startswith("["):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        if isinstance(parsed, list) and all(isinstance(part, str) for part in parsed):
            return parsed
    return [text]


def _price(column: pl.Series, file: str) -> tuple[pl.Series, pl.Series]:
    """A finite number of 0 or more, written with a decimal point and nothing else."""
    if column.dtype.is_numeric():
        number, written = column.cast(pl.Float64), column.is_not_null()
    else:
        text = _plain(column, file).str.strip_chars()
        written = text.fill_null("") != ""
        decimal = text.str.contains(PRICE).fill_null(False)
        number = text.set(~decimal, None).cast(pl.Float64, strict=False)
    good = ((number >= 0) & number.is_finite()).fill_null(False)
    return number.set(~good, None), _codes(written & ~good, "bad_price")


def _available(column: pl.Series, file: str) -> tuple[pl.Series, pl.Series]:
    """True only where it says so; whatever is not clearly yes or no counts as not available."""
    text = _plain(column, file).str.strip_chars().str.to_lowercase()
    unclear = ~text.is_in([*YES, *NO]).fill_null(False)
    return text.is_in(YES).fill_null(False), _codes(unclear, "bad_available")


def _codes(bad: pl.Series, code: str) -> pl.Series:
    return pl.repeat(code, bad.len(), dtype=pl.String, eager=True).set(~bad, None)


def _bad(raw: pl.DataFrame, name: str, code: pl.Series) -> pl.DataFrame:
    """The cells of a column that have a code."""
    found = raw.with_columns(pl.lit(code).alias("code")).filter(pl.col("code").is_not_null())
    if found.is_empty():
        return faults.empty()
    return cells(
        found.select(
            *PLACES,
            "code",
            column=pl.lit(name),
            value=pl.col(name).cast(pl.String).fill_null(""),
            raw=pl.struct("item_id").struct.json_encode(),
        )
    )


def _attribute(column: pl.Series, file: str) -> pl.Series:
    """Any other column as it is, but for types that Parquet or a reader cannot hold."""
    if column.dtype == pl.Object:
        raise InputFault(f"{column.name} is of no plain type", where=file, fix="write texts")
    if isinstance(column.dtype, pl.Categorical | pl.Enum | pl.Null):
        return column.cast(pl.String)
    return column

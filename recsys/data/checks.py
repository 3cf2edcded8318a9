"""Types one raw file of interactions and marks each row that cannot be used, with its reason."""

import polars as pl

from recsys.data import faults, time_range, timestamps
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

REQUIRED = ("user_id", "item_id", "timestamp")
KNOWN = (*REQUIRED, "event", "weight")
# Control characters, and those that turn the reading direction around in logs and pages.
HIDDEN = r"[\p{Cc}\x{2028}-\x{202E}\x{2066}-\x{2069}]"
DECIMAL = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"


def typed(
    table: RawTable, settings: DataSettings, now_seconds: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits a file into rows that can be used and rows that cannot.

    Args:
        table: as read.
        settings: events, unit and zone of times, extra columns.
        now_seconds: the present, epoch seconds.

    Returns:
        rows with `row`, user_id, item_id, timestamp (UTC), event, weight and the extra columns; and
        the quarantine frame of the others, one reason a row.

    Raises:
        InputFault: the times as a whole are in another unit, or have no stated unit or zone.
    """
    raw = table.frame
    for name in ("event", "weight", *settings.extra_columns):
        _check_plain(raw, name, table.file)
    times = timestamps.parse(raw["timestamp"], settings, table.file)
    times = time_range.check_range(times, settings, now_seconds, table.file)
    frame = raw.select(
        "row", "user_id", "item_id", times["timestamp"],
        _event(raw, settings).alias("event"),
        *(pl.col(name).cast(pl.String) for name in settings.extra_columns if name not in KNOWN),
    ).with_columns(_weight(raw, settings))  # fmt: skip
    reasons = _reasons(settings, times)
    marked = frame.with_columns(
        code=pl.coalesce(*reasons.values()),
        column=pl.coalesce(
            *(pl.when(code.is_not_null()).then(pl.lit(name)) for name, code in reasons.items())
        ),
    )
    bad = marked["code"].is_not_null()
    kept = frame.filter(~bad)
    columns = [name for name in KNOWN if name in raw.columns]
    return kept, _quarantine(raw.filter(bad), marked.filter(bad), columns, table.file)


def _reasons(settings: DataSettings, times: pl.DataFrame) -> dict[str, pl.Expr]:
    """Per column the code of what is wrong with its value, null where it is right."""
    known = pl.col("event").is_in(list(settings.events)).fill_null(False)
    usable = (pl.col("weight") >= 0) & pl.col("weight").is_finite()
    return {
        "user_id": _id_code("user_id"),
        "item_id": _id_code("item_id"),
        "timestamp": pl.lit(times["code"]),
        "event": pl.when(~known).then(pl.lit("unknown_event")),
        "weight": pl.when(~usable).then(pl.lit("bad_weight")),
    }


def _check_plain(raw: pl.DataFrame, name: str, file: str) -> None:
    if name in raw.columns and (raw.schema[name].is_nested() or raw.schema[name] == pl.Binary):
        raise InputFault(
            f"{name} holds no plain values", value=str(raw.schema[name]), where=f"{file}: {name}",
            fix="write texts or numbers",
        )  # fmt: skip


def _event(raw: pl.DataFrame, settings: DataSettings) -> pl.Expr:
    if "event" not in raw.columns:
        return pl.lit(settings.default_event)
    return pl.col("event").cast(pl.String)


def _weight(raw: pl.DataFrame, settings: DataSettings) -> pl.Expr:
    """The row's own weight, else that of its event; NaN where it is written but is no number."""
    usual = pl.col("event").replace_strict(
        list(settings.events), list(settings.events.values()), default=0.0, return_dtype=pl.Float64
    )
    if "weight" not in raw.columns:
        return usual.alias("weight")
    given = raw["weight"]
    if given.dtype.is_numeric():
        own = pl.lit(given.cast(pl.Float64))
    else:
        text = given.cast(pl.String).str.strip_chars()
        number = text.cast(pl.Float64, strict=False)
        checked = pl.when(pl.lit(text).str.contains(DECIMAL)).then(pl.lit(number))
        absent = pl.lit(text).fill_null("") == ""
        own = pl.when(~absent).then(checked.fill_null(float("nan")))
    return pl.coalesce(own, usual).alias("weight")


def _id_code(name: str) -> pl.Expr:
    value = pl.col(name)
    return (
        pl.when(value.fill_null("").str.strip_chars() == "")
        .then(pl.lit("empty_id"))
        .when(value.str.contains(HIDDEN))
        .then(pl.lit("control_character"))
    )


def _quarantine(
    raw: pl.DataFrame, marked: pl.DataFrame, columns: list[str], file: str
) -> pl.DataFrame:
    """Bad rows with the value found and, as JSON, what the row held."""
    texts = raw.select(pl.col(name).cast(pl.String) for name in columns)
    rows = pl.DataFrame(
        {
            "row": raw["row"],
            "byte_offset": raw["byte_offset"],
            "column": marked["column"],
            "code": marked["code"],
            "raw": texts.select(pl.struct(columns).struct.json_encode()).to_series(),
        }
    )
    found = pl.coalesce(
        pl.when(pl.col("column") == name).then(pl.lit(texts[name]).fill_null(""))
        for name in columns
    )
    return faults.quarantine(rows.with_columns(value=found), file)

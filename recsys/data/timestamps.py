"""Times of any written form into UTC, without guessing: unit and zone are stated or refused.

Interactions read `timestamp` through here, the catalogue `created_at`.
"""

import polars as pl

from recsys.data.settings import DataSettings
from recsys.data.time_range import LAST_SECOND, UNITS, likely_unit
from recsys.errors import InputFault

UTC = pl.Datetime("us", "UTC")
LOCAL = pl.Datetime("us")
WHOLE = r"^[+-]?\d+$"
NUMBER = r"^[+-]?\d+(\.\d+)?$"
ISO = (
    r"^(?<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?<minute>\d{2}:\d{2})(?<second>:\d{2}(?:\.\d{1,9})?)?"
    r" ?(?<zone>[Zz]|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?$"
)


def parse(column: pl.Series, settings: DataSettings, file: str) -> pl.DataFrame:
    """Reads times.

    Args:
        column: zoned or local datetimes, dates, numbers, or texts of any of these.
        settings: unit of numbers, zone of local times.
        file: for messages.

    Returns:
        per row `timestamp` (UTC, microseconds; null where `code` is set), `code` (see `faults`),
        and `seconds` (f64 since 1970, also of times too far off to be a timestamp).

    Raises:
        InputFault: more than half of the times need a unit or zone that is not set, or the
            column's type holds no times.
    """
    dtype = column.dtype
    if dtype.is_integer() or dtype.is_float() or dtype.is_decimal():
        frame = _numbers(column, settings)
    elif isinstance(dtype, pl.Datetime | pl.Date):
        frame = _datetimes(column, settings)
    elif isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        frame = _texts(column.cast(pl.String).str.strip_chars(), settings)
    else:
        raise InputFault(
            f"{column.name} holds no times", value=str(dtype), where=f"{file}: {column.name}",
            fix="write datetimes with a zone, ISO 8601 texts, or epoch numbers",
        )  # fmt: skip
    _check_stated(frame, column, file)
    return frame.with_columns(
        code=pl.when(pl.col("code").is_null() & pl.col("timestamp").is_null())
        .then(pl.lit("bad_timestamp"))
        .otherwise("code")
    )


def _numbers(column: pl.Series, settings: DataSettings) -> pl.DataFrame:
    """Epoch numbers; whole ones exactly, others to the microsecond as far as f64 carries."""
    number = column.alias("number").to_frame()
    size = UNITS.get(settings.timestamp_unit, 1.0)
    given = pl.col("number")
    if column.dtype.is_integer():
        whole = given.cast(pl.Int64, strict=False)
        micros = _micros(whole, settings)
        lost = given.is_not_null() & whole.is_null()
    else:
        number = number.cast(pl.Float64)
        seconds = given / size
        micros = pl.when(seconds.abs() <= LAST_SECOND).then((seconds * 1e6).round().cast(pl.Int64))
        lost = pl.lit(False)
    usable = given.cast(pl.Float64).is_finite()
    return number.select(
        timestamp=pl.when(bool(settings.timestamp_unit)).then(micros).cast(UTC),
        code=pl.when(lost)
        .then(pl.lit("integer_range"))
        .when(usable & (not settings.timestamp_unit))
        .then(pl.lit("timestamp_unit"))
        .when(usable & ((given / size).abs() > LAST_SECOND))
        .then(pl.lit("timestamp_range")),
        seconds=pl.when(usable).then(given.cast(pl.Float64) / size),
    )


def _micros(whole: pl.Expr, settings: DataSettings) -> pl.Expr:
    """Whole epoch numbers in microseconds; null past the year 9999."""
    inside = whole.is_between(-LAST_SECOND, LAST_SECOND)
    match settings.timestamp_unit:
        case "ns":
            return whole // 1000
        case "us":
            return pl.when((whole // 1_000_000).is_between(-LAST_SECOND, LAST_SECOND)).then(whole)
        case "ms":
            inside = (whole // 1000).is_between(-LAST_SECOND, LAST_SECOND)
            return pl.when(inside).then(pl.when(inside).then(whole).otherwise(0) * 1000)
        case _:
            return pl.when(inside).then(pl.when(inside).then(whole).otherwise(0) * 1_000_000)


def _datetimes(column: pl.Series, settings: DataSettings) -> pl.DataFrame:
    frame = column.alias("time").to_frame()
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
        zoned = pl.col("time").dt.convert_time_zone("UTC").cast(UTC)
        return _with_seconds(frame.select(timestamp=zoned, code=pl.lit(None, pl.String)))
    return _with_seconds(frame.select(_localised(pl.col("time").cast(LOCAL), settings)))


def _localised(local: pl.Expr, settings: DataSettings) -> list[pl.Expr]:
    """`timestamp` and `code` of times without a zone."""
    if not settings.timezone:
        missing = pl.when(local.is_not_null()).then(pl.lit("timestamp_zone"))
        return [pl.lit(None, UTC).alias("timestamp"), missing.alias("code")]
    zoned = local.dt.replace_time_zone(settings.timezone, ambiguous="null", non_existent="null")
    shifted = pl.when(local.is_not_null() & zoned.is_null()).then(pl.lit("timestamp_shift"))
    return [zoned.dt.convert_time_zone("UTC").alias("timestamp"), shifted.alias("code")]


def _with_seconds(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(seconds=pl.col("timestamp").dt.epoch("us") / 1e6)


def _texts(column: pl.Series, settings: DataSettings) -> pl.DataFrame:
    """Texts: numbers as numbers, the rest as ISO 8601."""
    text = column.alias("text").to_frame()
    if bool(text.select(pl.col("text").str.contains(WHOLE).all()).item()):
        return _whole_texts(text, settings)
    parts = text.select(pl.col("text"), pl.col("text").str.extract_groups(ISO).alias("part"))
    parts = parts.unnest("part").with_columns(
        local=pl.format(
            "{}T{}{}",
            "date",
            pl.col("minute").fill_null("00:00"),
            pl.col("second").fill_null(":00"),
        ).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us"),
        offset=_offset_minutes(pl.col("zone")),
    )
    iso = parts.select(
        *_localised(pl.col("local"), settings),
        zoned=pl.when(pl.col("zone").is_not_null()).then(
            (pl.col("local") - pl.duration(minutes="offset")).dt.replace_time_zone("UTC")
        ),
        has_zone=pl.col("zone").is_not_null(),
    ).select(
        timestamp=pl.when("has_zone").then("zoned").otherwise("timestamp"),
        code=pl.when(~pl.col("has_zone")).then("code"),
    )
    whole = _whole_texts(text, settings)
    decimal = _numbers(text["text"].cast(pl.Float64, strict=False), settings)
    return _merged(text, _with_seconds(iso), whole, decimal)


def _merged(
    text: pl.DataFrame, iso: pl.DataFrame, whole: pl.DataFrame, decimal: pl.DataFrame
) -> pl.DataFrame:
    """Row by row the reading that fits how the text is written."""
    is_whole = text.select(pl.col("text").str.contains(WHOLE).fill_null(False)).to_series()
    is_number = text.select(pl.col("text").str.contains(NUMBER).fill_null(False)).to_series()
    return pl.DataFrame(
        {
            name: decimal[name].zip_with(is_number, iso[name]).zip_with(~is_whole, whole[name])
            for name in iso.columns
        }
    )


def _whole_texts(text: pl.DataFrame, settings: DataSettings) -> pl.DataFrame:
    digits = pl.col("text").str.contains(WHOLE).fill_null(False)
    number = text.select(pl.col("text").cast(pl.Int64, strict=False)).to_series()
    lost = text.select(digits).to_series() & number.is_null()
    return _numbers(number, settings).with_columns(
        code=pl.when(lost).then(pl.lit("integer_range")).otherwise("code")
    )


def _offset_minutes(zone: pl.Expr) -> pl.Expr:
    digits = zone.str.replace_all(r"[^0-9]", "")
    hours = digits.str.slice(0, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0)
    return (
        pl.when(zone.str.starts_with("-")).then(-1).otherwise(1) * (hours * 60 + minutes)
    ).fill_null(0)


def _check_stated(frame: pl.DataFrame, column: pl.Series, file: str) -> None:
    """Refuses the file where unit or zone is missing for most rows."""
    for code, what in (
        ("timestamp_unit", "times are bare numbers and their unit is not stated"),
        ("timestamp_zone", "times have no zone and none is stated"),
    ):
        missing = (frame["code"] == code).fill_null(False)
        if missing.sum() * 2 <= frame.height:
            continue
        unit = None
        if code == "timestamp_unit":
            median = frame["seconds"].median()
            unit = likely_unit(median, 0, 4e9) if isinstance(median, float) else None
        raise InputFault(
            what, value=column.filter(missing)[0], where=f"{file}: {column.name}",
            fix="set data.timezone, as 'UTC'" if code == "timestamp_zone"
            else f"set data.timestamp_unit = {unit!r}" if unit
            else "set data.timestamp_unit: s, ms, us or ns",
        )  # fmt: skip

"""Makes the columns of plans: each from columns of the file to one typed column of ours."""

from collections.abc import Sequence

import polars as pl

from recsys.data import timestamps
from recsys.data.checks import HIDDEN
from recsys.data.importers.plan import Column
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

TEXTS = pl.List(pl.String)


def made(name: str, theirs: str | Sequence[str], value: pl.Expr, refused: str = "") -> Column:
    """A column that an expression over `theirs` makes."""
    needed = (theirs,) if isinstance(theirs, str) else tuple(theirs)
    return Column(name, needed, lambda frame: frame.select(value).to_series(), refused)


def whole_id(name: str, theirs: str) -> Column:
    """An id that is a whole number, and stays one."""
    digits = pl.col(theirs).cast(pl.String).str.strip_chars()
    value = pl.when(digits.str.contains(r"^\d{1,18}$")).then(digits).cast(pl.Int64, strict=False)
    return made(name, theirs, value, "is not a whole number")


def text_id(name: str, theirs: str) -> Column:
    """An id that is any text without control characters: `007` is not `7`. Whole numbers stay."""

    def value(frame: pl.DataFrame) -> pl.Series:
        given = frame[theirs]
        if given.dtype.is_integer():
            return given.cast(pl.Int64, strict=False)
        if given.dtype.is_float() or given.dtype.is_nested():
            raise InputFault(
                f"{name} is {given.dtype}", where=theirs, fix="write ids as texts or whole numbers"
            )
        text = given.cast(pl.String).str.strip_chars()
        bad = (text == "") | text.str.contains(HIDDEN)
        return text.set(bad.fill_null(True), None)

    return Column(name, (theirs,), value, "is blank or holds control characters")


def text(name: str, theirs: str) -> Column:
    """A text; blank is absent."""
    value = pl.col(theirs).cast(pl.String).str.strip_chars()
    return made(name, theirs, pl.when(value != "").then(value))


def number(name: str, theirs: str) -> Column:
    """A finite number; anything else is absent."""
    return made(name, theirs, _finite(theirs))


def weight(theirs: str) -> Column:
    """A rating as the event's weight."""
    value = _finite(theirs)
    return made("weight", theirs, pl.when(value >= 0).then(value), "is not a number of 0 or more")


def split(name: str, theirs: str, separator: str, absent: str = "") -> Column:
    """A list of texts from one text; `absent` is what stands there for none."""
    given = pl.col(theirs).cast(pl.String)
    there = ~given.str.strip_chars().is_in(["", absent])
    return made(name, theirs, pl.when(there).then(given.str.split(separator)))


def either(name: str, theirs: str) -> Column:
    """A list of texts from a list, or from one text."""

    def value(frame: pl.DataFrame) -> pl.Series:
        given = frame[theirs]
        if isinstance(given.dtype, pl.List | pl.Array):
            return given.cast(TEXTS)
        one = pl.col(theirs).cast(pl.String).str.strip_chars()
        return frame.select(pl.when(one != "").then(pl.concat_list(one))).to_series()

    return Column(name, (theirs,), value)


def kept(name: str, theirs: str) -> Column:
    """Texts without blanks around them; numbers, truth values, times and lists as they are."""

    def value(frame: pl.DataFrame) -> pl.Series:
        given = frame[theirs]
        if isinstance(given.dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
            return text(name, theirs).value(frame)
        return given

    return Column(name, (theirs,), value)


def moment(theirs: str, unit: str = "", zone: str = "", pattern: str = "") -> Column:
    """The event's time.

    Args:
        theirs: epoch numbers, datetimes, ISO 8601 texts, or texts as `pattern` says.
        unit: of epoch numbers: s, ms, us, ns.
        zone: IANA zone of times without one.
        pattern: as in strptime; empty for the other kinds.
    """
    stated = DataSettings.model_validate({"timestamp_unit": unit, "timezone": zone})

    def value(frame: pl.DataFrame) -> pl.Series:
        given = frame[theirs].alias("timestamp")
        if pattern:
            texts = given.cast(pl.String).str.strip_chars()
            given = texts.str.to_datetime(pattern, strict=False, time_unit="us")
        return timestamps.parse(given, stated, theirs)["timestamp"]

    doubled = ", or of an hour that a change of clocks doubles or leaves out"
    refused = "is not a time" + (doubled if zone not in ("", "UTC") else "")
    return Column("timestamp", (theirs,), value, refused)


def _finite(theirs: str) -> pl.Expr:
    value = pl.col(theirs)
    found = value.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(found.is_finite()).then(found)

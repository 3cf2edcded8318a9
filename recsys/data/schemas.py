"""Columns of a file: are the needed ones there, and do the parts of a table agree."""

import difflib
from collections.abc import Sequence
from pathlib import PurePath

import polars as pl

from recsys.data.raw import PLACE, RawTable, Shape
from recsys.errors import InputFault

IDS = ("user_id", "item_id")


def check_names(names: Sequence[str], required: Sequence[str], file: str) -> None:
    """Refuses column names (ours) that repeat, are empty, or lack a required one.

    Raises:
        InputFault: with what was found, what is expected, and the nearest name.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputFault(
            "a column name stands twice", value=", ".join(twice), where=f"{file}:1",
            fix="rename one of the columns (data.names may have renamed one, too)",
        )  # fmt: skip
    if "" in names:
        raise InputFault(
            f"column {list(names).index('') + 1} has no name", where=f"{file}:1",
            fix="name the column, or take it away",
        )  # fmt: skip
    for name in required:
        if name in names:
            continue
        near = difflib.get_close_matches(
            name, [other for other in names if other not in required], n=1, cutoff=0.4
        )
        fix = (
            f"data.names.{name} = {near[0]!r} if that is it"
            if near
            else f"add {name}, or rename as [mapping] says"
        )
        raise InputFault(
            f"the column {name} is missing", value=f"found: {', '.join(names)}", where=f"{file}:1",
            fix=f"expected: {', '.join(required)}; {fix}",
        )  # fmt: skip


def choose(
    names: Sequence[str], wanted: Sequence[str] | None, file: str
) -> tuple[list[str], tuple[str, ...]]:
    """Splits `names` into those to read and those nobody wants.

    Raises:
        InputFault: a column to read has a name that the reader gives to its own.
    """
    chosen = [name for name in names if wanted is None or name in wanted]
    if reserved := sorted(set(PLACE) & set(chosen)):
        raise InputFault(
            "a column has a name that the reader needs", value=reserved[0], where=f"{file}:1",
            fix="rename the column",
        )  # fmt: skip
    return chosen, tuple(name for name in names if name not in chosen)


def shape(table: RawTable) -> Shape:
    """What the other parts of a table must agree with."""
    return Shape(table.file, {name: kind(name, table.frame.schema[name]) for name in table.columns})


def compare(first: Shape, other: Shape) -> None:
    """Refuses two parts of one table that differ in columns or in a column's kind.

    Raises:
        InputFault: names both parts and the column.
    """
    ending = _ending(first.file)
    if ending == ".jsonl" or ending != _ending(other.file):
        return  # JSON objects name their keys one by one: an absent key is an absent value
    places = f"{first.file} and {other.file}"
    differing = set(first.kinds) ^ set(other.kinds)
    if differing:
        name = min(differing)
        has, lacks = (first, other) if name in first.kinds else (other, first)
        raise InputFault(
            f"parts of one table differ: {has.file} has the column {name!r}, {lacks.file} does not",
            where=places, fix="write all parts with the same columns",
        )  # fmt: skip
    for name in first.kinds:
        kinds = [table.kinds[name] for table in (first, other)]
        if kinds[0] != kinds[1] and "nothing" not in kinds:
            raise InputFault(
                f"parts of one table differ: {name!r} is {kinds[0]} in {first.file} and "
                f"{kinds[1]} in {other.file}",
                where=places, fix="write all parts with the same types",
            )  # fmt: skip


def kind(name: str, dtype: pl.DataType) -> str:
    """The family of a column's type; types of one family may be mixed among parts."""
    if name in IDS:
        return "an id"
    if dtype == pl.Null:
        return "nothing"
    if dtype.is_integer() or dtype.is_float() or dtype.is_decimal():
        return "a number"
    if isinstance(dtype, pl.Datetime):
        return "a time with a zone" if dtype.time_zone else "a time without a zone"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "a text"
    return str(dtype)


def _ending(file: str) -> str:
    return PurePath(file.removesuffix(".gz").removesuffix(".zst")).suffix

"""Tables with one row a thing: their parts, their ids, their repeats. Items and users read so."""

from pathlib import Path
from typing import Literal

import polars as pl

from recsys.data import faults, tables, uploads
from recsys.data.checks import HIDDEN
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings, Names
from recsys.errors import InputFault, shown

FILE = "file of the row"  # with `row`, where a row came from; no data column is called so
EXAMPLES = 5


def located(data: DataSettings, folder: Path) -> DataSettings:
    """The settings for items and users of `folder`: only the ids have other names in the files."""
    names = Names(user_id=data.names.user_id, item_id=data.names.item_id)
    return data.model_copy(update={"folder": str(folder), "names": names})


def parts(table: str, name: str, data: DataSettings) -> list[RawTable]:
    """All files of a table, as read, each as the producer's manifest says; [] without the table.

    Args:
        table: items or users.
        name: of the id's column.
        data: from `located`.

    Raises:
        InputFault: a file cannot be trusted as a whole, or two of them disagree.
    """
    paths = tables.find(Path(data.folder), table)
    listed = uploads.manifest(data)
    uploads.check_complete(table, paths, data, listed)
    for path in paths:
        uploads.verify(path, data, listed)
    found = list(tables.read_parts(paths, data, (name,)))
    for part in found:
        if FILE in part.columns:
            raise InputFault(
                "a column has a name that the reader needs", value=FILE, where=part.file,
                fix="rename the column",
            )  # fmt: skip
    _check_lists(found)
    return found


def _check_lists(parts: list[RawTable]) -> None:
    """Refuses parts of which one has lists where another has single values."""
    seen: dict[str, tuple[bool, str]] = {}
    for part in parts:
        for name in part.columns:
            column = part.frame[name]
            if column.null_count() == column.len():
                continue
            is_list = isinstance(column.dtype, pl.List | pl.Array)
            before, file = seen.setdefault(name, (is_list, part.file))
            if before != is_list:
                raise InputFault(
                    f"parts of one table differ: {name!r} holds lists in one and single values in "
                    "the other",
                    where=f"{file} and {part.file}", fix="write all parts with the same types",
                )  # fmt: skip


def stacked(frames: list[pl.DataFrame], table: str) -> pl.DataFrame:
    """The parts' rows one below the other.

    Raises:
        InputFault: the types of a column do not go together.
    """
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise InputFault(
            f"parts of one table differ: {str(error)[:200]}", where=table,
            fix="write all parts with the same types",
        ) from None  # fmt: skip


def usable(frame: pl.DataFrame, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits rows into those with an id and the quarantine of the others.

    Args:
        frame: with the id's column `name`, FILE, `row` and `byte_offset`.
        name: user_id or item_id.
    """
    value = pl.col(name)
    code = (
        pl.when(value.fill_null("").str.strip_chars() == "")
        .then(pl.lit("empty_id"))
        .when(value.str.contains(HIDDEN))
        .then(pl.lit("control_character"))
    )
    bad = frame.select(
        FILE, "row", "byte_offset", code=code, column=pl.lit(name), value=value.fill_null("")
    ).filter(pl.col("code").is_not_null())
    return frame.filter(code.is_null()), cells(bad)


def cells(bad: pl.DataFrame) -> pl.DataFrame:
    """Bad cells with FILE, `row`, `code`, `column`, `value` as a quarantine frame."""
    parts = bad.partition_by(FILE, as_dict=True, maintain_order=True, include_key=False)
    return faults.together([faults.quarantine(rows, str(file)) for (file,), rows in parts.items()])


def one_row_each(
    frame: pl.DataFrame, name: str, on_duplicate: Literal["fail", "latest"]
) -> pl.DataFrame:
    """Refuses an id that stands twice, or keeps its last row; sorts by id.

    Raises:
        InputFault: an id repeats; the first one and both its rows are named.
    """
    repeats = frame.filter(pl.col(name).is_duplicated())
    if on_duplicate == "latest" or repeats.is_empty():
        return frame.unique(name, keep="last", maintain_order=True).sort(name)
    places = (
        repeats.filter(pl.col(name) == repeats[name][0])
        .select(place=pl.format("{} row {}", FILE, "row"))
        .to_series()
    )
    extra = repeats.height - repeats[name].n_unique()
    raise InputFault(
        f"{extra:,} of {frame.height:,} rows repeat {name}",
        value=repeats[name][0],
        where=" and ".join(places.head(2)),
        fix=f"keep one row per {name.removesuffix('_id')}, or set "
        "catalogue.on_duplicate = 'latest' to take the last one",
    )


def near_twins(ids: pl.Series) -> list[str]:
    """A warning about ids that differ only in case or in blanks around them; they stay distinct.

    Warnings stand in manifests, records and logs, so users are counted there, never named.
    """
    key = ids.str.strip_chars().str.to_lowercase()
    pairs = (
        pl.DataFrame({"id": ids, "key": key})
        .filter(key.is_duplicated())
        .sort("key", "id")
        .group_by("key", maintain_order=True)
        .agg("id")
    )
    if pairs.is_empty():
        return []
    line = f"{pairs.height:,} groups of {ids.name} differ only in case or blanks and are kept apart"
    if ids.name == "user_id":
        return [line]
    examples = "; ".join(
        " and ".join(shown(identifier) for identifier in group)
        for group in pairs["id"].head(EXAMPLES)
    )
    return [f"{line}: {examples}"]

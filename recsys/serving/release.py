"""What a night publishes, and what a consumer relies on: lists, similar items, fallback, manifest.

Rows are sorted and files written the same way every time: the same date and inputs give the same
bytes. Called by the night; `audit` checks what it published.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars import selectors as cs

from recsys import artefacts
from recsys.errors import InputFault
from recsys.serving.reranking import Ranked

Rows = npt.NDArray[np.int64]
KIND = "release"
ROWS_PER_PART = 2_000_000
MODEL, POPULAR = "model", "popular"
TERM = "term_"  # of the columns that hold the terms of a score
POPULAR_FILE = "popular.parquet"
FIX = "roll back to another release, or run the night again"
PARQUET: dict[str, Any] = {"compression": "zstd", "statistics": True, "row_group_size": 250_000}


def list_frame(
    user_ids: tuple[str, ...], ranked: Ranked, names: tuple[str, ...], item_ids: tuple[str, ...]
) -> pl.DataFrame:
    """Published rows of users with model lists, sorted by (user_id, rank).

    Columns: user_id, rank from 1, item_id, score, `term_NAME` for each term, source. The score is
    the sum of the terms.

    Args:
        user_ids: U ids.
        ranked: their lists.
        names: of the T terms.
        item_ids: in row order.
    """
    place, rank = np.nonzero(ranked.rows >= 0)
    terms = ranked.terms[place, rank]
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(user_ids, dtype=pl.String)[place],
            "rank": pl.Series(rank + 1, dtype=pl.Int32),
            "item_id": pl.Series(item_ids, dtype=pl.String)[ranked.rows[place, rank]],
            "score": ranked.scores[place, rank],
            **{f"{TERM}{name}": terms[:, number] for number, name in enumerate(names)},
        }
    )
    return frame.with_columns(source=pl.lit(MODEL)).sort("user_id", "rank")


def term_names(lists: pl.DataFrame) -> list[str]:
    """Names of the terms of a score, as the columns of published lists hold them."""
    return [name.removeprefix(TERM) for name in lists.columns if name.startswith(TERM)]


def popular_frame(
    user_ids: Sequence[str], ranked: Ranked, names: tuple[str, ...], item_ids: tuple[str, ...]
) -> pl.DataFrame:
    """Published rows of users without history; arguments as of `list_frame`."""
    frame = list_frame(tuple(user_ids), ranked, names, item_ids)
    return frame.with_columns(source=pl.lit(POPULAR))


def outside_ids(frame: pl.DataFrame, integer_ids: Mapping[str, bool]) -> pl.DataFrame:
    """Ids as they are outside: whole numbers go back to integers, and sort as such."""
    casts = [
        pl.col(name).cast(pl.Int64)
        for name, whole in integer_ids.items()
        if whole and name in frame.columns
    ]
    frame, first = frame.with_columns(casts), frame.columns[0]
    return frame.sort(first, "rank") if integer_ids.get(first) else frame


def order(ids: pl.Series, whole: bool) -> Rows:
    """Places of ids as what is theirs is published: as texts, or as numbers where `whole`."""
    places: Rows = (ids.cast(pl.Int64) if whole else ids).arg_sort().to_numpy().astype(np.int64)
    return places


def write_parts(frames: Iterable[pl.DataFrame], folder: Path) -> dict[str, int]:
    """Writes `folder/part-00000.parquet` and so on, each as soon as its rows are there.

    Args:
        frames: at least one; their rows follow each other, wherever one ends and the next begins.
        folder: of the table.

    Returns:
        rows by file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}

    def write(groups: list[pl.DataFrame]) -> None:
        part = pl.concat(groups)
        name = f"{folder.name}/part-{len(rows):05d}.parquet"
        part.write_parquet(folder.parent / name, **PARQUET)
        rows[name] = len(part)

    size = min(PARQUET["row_group_size"], ROWS_PER_PART)
    waiting: list[pl.DataFrame] = []
    groups: list[pl.DataFrame] = []  # one chunk each: others than row groups would show in the file
    for frame in frames:
        waiting.append(frame)
        while sum(map(len, waiting)) >= size:
            together = pl.concat(waiting)
            groups.append(together[:size].rechunk())
            waiting = [together[size:]]
            if len(groups) * size == ROWS_PER_PART:
                write(groups)
                groups = []
    rest = pl.concat(waiting)
    if len(rest) or not (rows or groups):
        groups.append(rest.rechunk())
    if groups:
        write(groups)
    return rows


def write_lists(
    staged: artefacts.Staged, lists: Iterable[pl.DataFrame], integer_ids: Mapping[str, bool]
) -> None:
    """Writes the lists of a release, some users at a time; counts their rows.

    Args:
        staged: the release being written.
        lists: of everybody, in that `order`, ids as texts.
        integer_ids: which id columns are whole numbers outside.
    """
    outside = (outside_ids(frame, integer_ids) for frame in lists)
    staged.rows |= write_parts(outside, staged.folder / "lists")


def write_similar(
    staged: artefacts.Staged, near: Iterable[pl.DataFrame], integer_ids: Mapping[str, bool]
) -> None:
    """Writes similar items; arguments as of `write_lists`."""
    outside = (outside_ids(frame, integer_ids) for frame in near)
    staged.rows |= write_parts(outside, staged.folder / "similar")


def write_popular(
    staged: artefacts.Staged, popular: pl.DataFrame, integer_ids: Mapping[str, bool]
) -> None:
    """Writes the popular lists; arguments as of `write_lists`."""
    outside_ids(popular, integer_ids).write_parquet(staged.folder / POPULAR_FILE, **PARQUET)
    staged.rows[POPULAR_FILE] = len(popular)


def read_lists(folder: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """All lists of a release, ids as texts; only some columns where these are named.

    Raises:
        InputFault: the files cannot be read.
    """
    return _frame(parts(folder, "lists"), "lists", folder / "lists", columns)


def each_similar(folder: Path) -> Iterator[pl.DataFrame]:
    """Similar items of a release as they were written, a file at a time, ids as texts."""
    for part in parts(folder, "similar"):
        yield _frame([part], "similar", part)


def read_similar(folder: Path) -> pl.DataFrame:
    """Similar items of a release, ids as texts; empty where there are none."""
    if not (folder / "similar").is_dir():
        return pl.DataFrame(schema={"item_id": pl.String, "similar_item_id": pl.String})
    return _frame(parts(folder, "similar"), "similar", folder / "similar")


def read_popular(folder: Path) -> pl.DataFrame:
    """The popular lists of a release, ids as texts: category (null for all), rank, item_id, score.

    Raises:
        InputFault: the file cannot be read.
    """
    return _frame([folder / POPULAR_FILE], "popular lists", folder)


def parts(folder: Path, table: str) -> list[Path]:
    """Files of a table, those that a published release's manifest knows."""
    if (folder / artefacts.MANIFEST).is_file():  # it decides what belongs to a published release
        known = artefacts.read(folder, KIND, check=False)["files"]
        return [folder / name for name in sorted(known) if Path(name).parent == Path(table)]
    return sorted((folder / table).glob("part-*.parquet"))


def scanned(paths: list[Path]) -> pl.LazyFrame:
    """Parquet files one after the other, ids as texts; nothing is read yet."""
    ids = cs.by_name("user_id", "item_id", "similar_item_id", require_all=False)
    return pl.scan_parquet(paths, hive_partitioning=False, glob=False).with_columns(
        ids.cast(pl.String)
    )


def collected(rows: pl.LazyFrame, where: str, table: str = "lists") -> pl.DataFrame:
    """What was asked of files of a table.

    Raises:
        InputFault: the files cannot be read.
    """
    try:
        return rows.collect()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputFault(
            f"{table} cannot be read: {str(error)[:200]}", where=where, fix=FIX
        ) from None


def _frame(
    paths: list[Path], table: str, where: Path, columns: list[str] | None = None
) -> pl.DataFrame:
    rows = scanned(paths)
    return collected(rows if columns is None else rows.select(columns), str(where), table)

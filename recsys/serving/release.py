"""What a night publishes, and what a consumer relies on: lists, similar items, fallback, manifest.

Rows are sorted and files written the same way every time: the same date and inputs give the same
bytes. Called by the night; `audit` checks what it published.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys import artefacts
from recsys.errors import InputFault
from recsys.serving.reranking import Ranked

Rows = npt.NDArray[np.int64]
KIND = "release"
ROWS_PER_PART = 2_000_000
MODEL, POPULAR = "model", "popular"
TERM = "term_"  # of the columns that hold the terms of a score
POPULAR_FILE = "popular.parquet"
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


def write_parts(frame: pl.DataFrame, folder: Path) -> dict[str, int]:
    """Writes `folder/part-00000.parquet` and so on; returns rows by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for number, start in enumerate(range(0, max(1, len(frame)), ROWS_PER_PART)):
        part = frame.slice(start, ROWS_PER_PART).rechunk()  # chunks would show in the file
        name = f"{folder.name}/part-{number:05d}.parquet"
        part.write_parquet(folder.parent / name, **PARQUET)
        rows[name] = len(part)
    return rows


def write_tables(
    staged: artefacts.Staged, lists: pl.DataFrame, near: pl.DataFrame, popular: pl.DataFrame,
    integer_ids: Mapping[str, bool],
) -> None:  # fmt: skip
    """Writes the tables of a release: lists, similar items, the popular lists; counts their rows.

    Args:
        staged: the release being written.
        lists, near, popular: the tables, ids as texts.
        integer_ids: which id columns are whole numbers outside.
    """
    for name, frame in {"lists": lists, "similar": near}.items():
        staged.rows |= write_parts(outside_ids(frame, integer_ids), staged.folder / name)
    outside_ids(popular, integer_ids).write_parquet(staged.folder / POPULAR_FILE, **PARQUET)
    staged.rows[POPULAR_FILE] = len(popular)


def read_lists(folder: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """All lists of a release, ids as texts; only some columns where these are named.

    Raises:
        InputFault: the files cannot be read.
    """
    return _frame(parts(folder, "lists"), "lists", folder / "lists", columns)


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


def _frame(
    paths: list[Path], table: str, where: Path, columns: list[str] | None = None
) -> pl.DataFrame:
    """Parquet files one after the other, ids as texts."""
    try:
        frame = pl.read_parquet(paths, hive_partitioning=False, glob=False, columns=columns)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputFault(
            f"{table} cannot be read: {str(error)[:200]}", where=str(where),
            fix="roll back to another release, or run the night again",
        ) from None  # fmt: skip
    ids = [name for name in ("user_id", "item_id", "similar_item_id") if name in frame.columns]
    return frame.with_columns(pl.col(ids).cast(pl.String))

"""Ready-made vectors of items, `features/NAME.parquet`: what somebody already encoded."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data import tables
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, shown
from recsys.vocabulary import Vocabulary

EXAMPLES = 5


def ready_made(folder: Path) -> dict[str, Path]:
    """`modality name -> file` of the dataset folder, sorted by name; empty where there are none."""
    return {path.stem: path for path in sorted((folder / "features").glob("*.parquet"))}


def item_ids(path: Path) -> pl.Series:
    """Ids of the items that have a row in the file.

    Raises:
        InputFault: the file is damaged or lacks a column.
    """
    return _read(path, ("item_id",))["item_id"]


def read_vectors(
    path: Path, vocabulary: Vocabulary
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Reads the vectors of the catalogue's items. Items outside the catalogue are left out.

    Args:
        path: of a Parquet file with item_id and vector (a list of D numbers; null is absent).
        vocabulary: item ids in row order.

    Returns:
        float32 `[N, D]`, zeros where absent, and bool `[N]`, which rows are present.

    Raises:
        InputFault: the file is damaged, an item stands twice, widths differ, a number is not
            finite; the first items are named.
    """
    frame = _read(path, ("item_id", "vector")).filter(pl.col("vector").is_not_null())
    matrix = _matrix(frame, path)
    rows = vocabulary.rows(frame["item_id"])
    placed = np.zeros((len(vocabulary), matrix.shape[1]), dtype=np.float32)
    present = np.zeros(len(vocabulary), dtype=np.bool_)
    placed[rows[rows >= 0]] = matrix[rows >= 0]
    present[rows[rows >= 0]] = True
    return placed, present


def _matrix(frame: pl.DataFrame, path: Path) -> npt.NDArray[np.float32]:
    """Checked vectors as float32 `[rows of frame, D]`."""
    _refuse(frame.filter(pl.col("item_id").is_duplicated()), "an item has two vectors", path)
    if isinstance(frame.schema["vector"], pl.Array):
        frame = frame.with_columns(pl.col("vector").arr.to_list())
    inner = getattr(frame.schema["vector"], "inner", None)
    if not isinstance(inner, pl.DataType) or not inner.is_numeric():
        raise InputFault(
            "vector is not a list of numbers", value=str(frame.schema["vector"]),
            where=f"{path}: vector", fix="write lists of float32",
        )  # fmt: skip
    sizes = frame["vector"].list.len()
    width = int(sizes.mode().sort()[-1]) if len(sizes) else 0
    if not width:
        raise InputFault("there are no vectors", where=str(path), fix="fill it or remove the file")
    _refuse(frame.filter(sizes != width), f"vectors are not all {width} wide", path)
    values = frame["vector"].explode().cast(pl.Float32).fill_null(float("nan")).to_numpy()
    matrix: npt.NDArray[np.float32] = values.reshape(frame.height, width)
    finite = pl.Series(np.isfinite(matrix).all(axis=1))
    _refuse(frame.filter(~finite), "a vector holds NaN, infinity or nothing", path)
    return matrix


def _read(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    # The column names are the project's own here, whatever the tables call theirs.
    data = DataSettings(folder=str(path.parent.parent))
    return tables.read(path, data, columns, columns).frame


def _refuse(bad: pl.DataFrame, what: str, path: Path) -> None:
    if not bad.is_empty():
        first = ", ".join(shown(item) for item in bad["item_id"].head(EXAMPLES))
        raise InputFault(
            f"{what} ({bad.height:,} rows)", value=first, where=f"{path}: row {bad['row'][0]}",
            fix="mend these items, or take them out: an absent vector is fine",
        )  # fmt: skip

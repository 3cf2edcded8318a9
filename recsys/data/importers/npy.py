"""Ready-made vectors in numpy's format, row i for the item i, as a `features/NAME.parquet`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import durable
from recsys.data.importers.accounts import Account
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import Refused
from recsys.errors import InputFault

ROWS = 4096


def write(origin: Origin, file: str, target: Path) -> Account:
    """Writes the rows that are neither zero (absent) nor hold anything but finite numbers.

    Args:
        origin: where the file lies.
        file: its name.
        target: the Parquet file: item_id, vector (float32).

    Returns:
        the account of its rows.

    Raises:
        InputFault: pickled objects, no matrix of numbers, a damaged file, no row that can be used.
    """
    matrix = _opened(origin, file)
    account = Account(file, f"features/{target.stem}")
    target.parent.mkdir(exist_ok=True)
    kind = pa.schema([("item_id", pa.int64()), ("vector", pa.list_(pa.float32()))])
    with pq.ParquetWriter(target, kind, compression="zstd") as writer:
        for start in range(0, len(matrix), ROWS):
            part = np.asarray(matrix[start : start + ROWS], dtype=np.float32)
            finite = np.isfinite(part).all(axis=1)
            zero = (part == 0).all(axis=1)
            for bad, why in ((~finite, "holds NaN or infinity"), (zero, "is all zeros: absent")):
                account.refuse(
                    Refused(start + int(place), "", why, str(start + int(place)))
                    for place in np.flatnonzero(bad)
                )
            good = finite & ~zero
            writer.write_table(_table(np.flatnonzero(good) + start, part[good], kind))
            account.kept += int(good.sum())
    if not account.kept:
        raise InputFault("no row is a usable vector", where=file, fix="make the vectors again")
    durable.sync_file(target)
    durable.sync_folder(target.parent)
    return account


def _opened(origin: Origin, file: str) -> npt.NDArray[np.float32]:
    """The matrix, mapped and not loaded. Pickled objects are refused: they can hold code."""
    path = origin.location(file)
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputFault(
            f"no plain numpy array: {error}", where=file, fix="save it with numpy.save"
        ) from None
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        found = f"{matrix.dtype} {matrix.shape}" if isinstance(matrix, np.ndarray) else "an archive"
        raise InputFault(
            "vectors are a matrix of floats, a row an item", value=found, where=file,
            fix="save one such matrix",
        )  # fmt: skip
    return matrix


def _table(
    items: npt.NDArray[np.int64], part: npt.NDArray[np.float32], kind: pa.Schema
) -> pa.Table:
    offsets = pa.array(np.arange(len(part) + 1, dtype=np.int32) * part.shape[1])
    vectors = pa.ListArray.from_arrays(offsets, pa.array(part.ravel()))
    return pa.table([pa.array(items), vectors], schema=kind)

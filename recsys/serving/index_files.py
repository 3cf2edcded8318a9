"""An index as files of a published folder: written, and read whole or mapped into memory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys import durable
from recsys.errors import InputFault, MismatchFault
from recsys.serving.exact import Exact
from recsys.serving.index import METRIC, Index
from recsys.serving.index_parts import Parts
from recsys.serving.index_settings import REFINED, IndexSettings

DESCRIPTION, ROWS, TABLE = "index.json", "rows.npy", "vectors.npy"
# what json, numpy and faiss raise for damage; memory runs out for a header that claims too much
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, MemoryError)


def write(index: Index, folder: Path, model: str) -> None:
    """Writes the index into an existing folder, usually one that is being published.

    Args:
        index: as built.
        folder: an existing one.
        model: content of the model that made its vectors, or whatever else stands for them.
    """
    built = index.found_by
    files = () if isinstance(built, Exact) else built.files
    table = built if isinstance(built, Exact) else built.table
    for number, file in enumerate(files):
        (folder / _part(number)).write_bytes(file.data)
    if table is not None:
        _save(folder / TABLE, table.table)
    np.save(folder / ROWS, index.rows, allow_pickle=False)
    description = {
        "metric": METRIC,
        "width": index.width,
        "items": len(index),
        "vocabulary": index.checksum,
        "model": model,
        "bytes": [file.size for file in files],
        "settings": index.settings.model_dump(),
    }
    durable.write_json(folder / DESCRIPTION, description)


def read(folder: Path, checksum: str, model: str, mapped: bool = False) -> Index:
    """Reads an index; check the folder's manifest before.

    Args:
        folder: it was written to.
        checksum: of the catalogue's vocabulary.
        model: that was written.
        mapped: leave it on disk and read what searches need, for one larger than memory.

    Raises:
        InputFault: a file is missing or damaged, or longer than it was.
        MismatchFault: it belongs to another catalogue, model or metric, or its parts do not fit.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        rows = np.load(folder / ROWS, allow_pickle=False)
        settings = IndexSettings.model_validate(described["settings"])
        found = _opened(folder, described, settings, mapped)
    except UNREADABLE as error:
        raise InputFault(
            f"the index cannot be read: {str(error)[:200]}", where=str(folder), fix="build it again"
        ) from None
    table = found if isinstance(found, Exact) else found.table
    width = described.get("width", 0)
    wide = width + (width % 2 if isinstance(found, Parts) and table is not None else 0)  # to pairs
    facts = {
        "metric": (described.get("metric"), METRIC),
        "vocabulary": (described.get("vocabulary"), checksum),
        "model": (described.get("model"), model),
        "items": (len(found), len(rows)),
        "width": (found.width, wide),
        "vectors": (table and (len(table), table.width), table and (len(rows), width)),
        "measure": (isinstance(found, Exact) or found.by_inner_product, True),
    }
    for name, (got, wanted) in facts.items():
        if got != wanted:
            raise MismatchFault(
                f"the index does not fit: {name}", value=f"{got} instead of {wanted}",
                where=str(folder), fix="build it again for this model and catalogue",
            )  # fmt: skip
    return Index(rows, width, checksum, settings, found)


def _opened(
    folder: Path, described: dict[str, Any], settings: IndexSettings, mapped: bool
) -> Exact | Parts:
    table = None
    if settings.kind in {"exact", *REFINED}:
        mode: Any = "c" if mapped else None
        padded = np.asarray(np.load(folder / TABLE, mmap_mode=mode, allow_pickle=False))
        table = Exact.of_table(padded, described["items"])
    if table is not None and settings.kind == "exact":
        return table
    sizes = enumerate(described["bytes"])
    return Parts(tuple(_bytes(folder / _part(n), size, mapped) for n, size in sizes), table)


def _bytes(path: Path, size: int, mapped: bool) -> npt.NDArray[np.uint8]:
    if path.stat().st_size != size:  # faiss would not look at what follows
        raise ValueError(f"{path.name}: {path.stat().st_size} bytes instead of {size}")
    return np.asarray(np.memmap(path, np.uint8, "r")) if mapped else np.fromfile(path, np.uint8)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """As `np.save`, which does not tell a full disk from another error."""
    with path.open("wb") as stream:
        header: Any = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(array.data)


def _part(number: int) -> str:
    return f"part-{number:03}.faiss"

"""Finds the files of a table in a dataset folder and reads each as it stands, rows counted.

Interactions, items and users all come through here. What is wrong with a whole file is raised;
what is wrong with a row goes to quarantine; nothing is guessed and nothing disappears.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from recsys.data import csv_files, jsonl_files, parquet_files, schemas
from recsys.data.raw import RawTable, Shape, label
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, ResourceFault, shown

ENDINGS = (".parquet", ".csv", ".jsonl", ".csv.gz", ".csv.zst", ".jsonl.gz", ".jsonl.zst")
NAMES = 6  # of files of the folder, in a message


def find(folder: Path, name: str) -> list[Path]:
    """Files of the table `name`: `NAME.parquet|.csv|.jsonl(.gz|.zst)`, or a folder of such parts.

    Returns:
        the parts sorted by path; empty where the dataset has no such table.

    Raises:
        InputFault: no such folder, the table stands there twice, a part is of no known kind.
    """
    if not folder.is_dir():
        raise InputFault(
            "the dataset folder does not exist", value=str(folder), where="data.folder",
            fix="name the folder with interactions and items: data.folder=FOLDER, or --config FILE",
        )  # fmt: skip
    places = [folder / f"{name}{ending}" for ending in ENDINGS]
    found = [path for path in [*places, folder / name] if path.exists()]
    if len(found) > 1:
        raise InputFault(
            f"the table {name!r} stands there {len(found)} times",
            value=", ".join(path.name for path in found), where=str(folder), fix="keep one of them",
        )  # fmt: skip
    if not found or found[0].is_file():
        return found
    return _parts(found[0])


def read(
    path: Path,
    settings: DataSettings,
    required: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
) -> RawTable:
    """Reads one file of a table.

    Args:
        path: of the file; its ending says what it is.
        settings: how files are written, and the limits.
        required: columns (by our names) without which the file is refused.
        wanted: columns to read; None reads all. Others are listed in `RawTable.unread`.

    Raises:
        InputFault: the file is damaged, too large, not what its name says, or lacks a column.
        ResourceFault: the file may not be read.
    """
    with readable(path, settings):
        return _read(path, settings, required, wanted)


def chunks(
    path: Path,
    settings: DataSettings,
    required: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
) -> Iterator[RawTable]:
    """Reads one file a stretch at a time: Parquet by `settings.chunk_rows`, texts as a whole.

    Every stretch knows its place in the file, and there is at least one. Arguments and faults are
    those of `read`.
    """
    with readable(path, settings):
        if path.suffix == ".parquet":
            yield from parquet_files.chunks(path, settings, required, wanted)
        else:
            yield _read(path, settings, required, wanted)


@contextlib.contextmanager
def readable(path: Path, settings: DataSettings) -> Iterator[None]:
    """Turns what the system says against reading a file into a ResourceFault."""
    try:
        yield
    except OSError as error:
        raise ResourceFault(
            f"the file cannot be read: {error.strerror}", where=label(path, settings),
            fix="mend the permissions or the disk",
        ) from None  # fmt: skip


def _read(
    path: Path, settings: DataSettings, required: Sequence[str], wanted: Sequence[str] | None
) -> RawTable:
    match path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]:
        case "csv":
            return csv_files.read(path, settings, required, wanted)
        case "jsonl":
            return jsonl_files.read(path, settings, required, wanted)
        case "parquet":
            return parquet_files.read(path, settings, required, wanted)
        case _:
            raise _no_table(path)


def read_parts(
    paths: Sequence[Path],
    settings: DataSettings,
    required: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
) -> Iterator[RawTable]:
    """Reads the parts of a table one after the other; they must agree in columns and kinds.

    Raises:
        InputFault: as `read`; or two parts disagree (both and the column are named).
    """
    first: Shape | None = None
    for path in paths:
        table = read(path, settings, required, wanted)
        first = first or schemas.shape(table)
        schemas.compare(first, schemas.shape(table))
        yield table


def absent(folder: Path, name: str, way: str = "") -> InputFault:
    """What to say where a needed table is not there: what lies there, and the ways on."""
    there = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    listed = ", ".join(map(shown, there[:NAMES])) + (", ..." if len(there) > NAMES else "")
    return InputFault(
        f"the dataset has no {name}", value=f"the folder holds {listed or 'nothing'}",
        where=str(folder),
        fix=f"write one of: {', '.join(name + ending for ending in ENDINGS)}; or say in [mapping] "
        "which file and columns they are, and run `recsys import mapping`"
        + (f"; {way}" if way else ""),
    )  # fmt: skip


def _parts(folder: Path) -> list[Path]:
    hidden = (".", "_")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(hidden) for part in path.relative_to(folder).parts)
    )
    for path in paths:
        if not path.name.endswith(ENDINGS):
            raise _no_table(path)
    return paths


def _no_table(path: Path) -> InputFault:
    return InputFault(
        "not a table that can be read", where=str(path),
        fix=f"take it away or write one of: {', '.join(ENDINGS)}",
    )  # fmt: skip


__all__ = [
    "ENDINGS", "RawTable", "absent", "chunks", "find", "label", "read", "read_parts", "readable",
]  # fmt: skip

"""One file at a time: where an erased id stands in it, and the same file without it.

Tables lose the rows of the id; texts, JSON and databases get `[erased]` in its place, where it
stands as a word. Called by erase.
"""

import json
import sqlite3
from pathlib import Path

import polars as pl

from pipelines.erase_texts import MARK, Target, clean_database, in_database, in_json
from recsys import durable
from recsys.data import erasure
from recsys.errors import InputFault
from recsys.models.saved import ITEM_IDS

TEXTS = {".html", ".txt", ".csv", ".toml", ".prom", ".log", ".md"}
DATABASES = {".db", ".sqlite"}
NUMBERS = {".faiss", ".npy"}  # of an index, which knows rows of the catalogue and no ids
BESIDE_DATABASES = ("-wal", "-shm", "-journal")
# Columns whose texts are the project's own words, or describe items: no user's id stands there.
OWNED = {
    *("user_id", "item_id", "similar_item_id", "event", "source", "code", "column", "file", "key"),
    *("category", "title", "description", "text", "brand", "raw", "value", "message", "text_hash"),
}


def places(path: Path, target: Target) -> int:
    """How often the id stands in a file: rows of tables, else words.

    Raises:
        InputFault: the file cannot be read as what its name says.
        FileNotFoundError: it is gone.
    """
    try:
        return _places(path, target)
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, sqlite3.Error, OSError, ValueError) as error:
        raise InputFault(
            f"the file cannot be searched: {str(error)[:200]}", where=str(path),
            fix="restore it or remove it, then run the same command again",
        ) from None  # fmt: skip


def _places(path: Path, target: Target) -> int:
    if path.name == ITEM_IDS:
        ids = json.loads(path.read_text(encoding="utf-8"))
        return int(ids.count(target.identifier)) if target.kind == "item" else 0
    if path.suffix in NUMBERS:
        return 0
    if path.name.endswith(BESIDE_DATABASES):
        return 0  # its database is read together with it
    if path.suffix in DATABASES:
        return in_database(path, target)
    if path.suffix == ".parquet":
        return _in_table(path, target)
    text = _texts_of(path)
    return in_json(text, target)[1] if path.suffix == ".json" else len(target.sure.findall(text))


def _in_table(path: Path, target: Target) -> int:
    frame = pl.read_parquet(path, columns=_searched(path, target), hive_partitioning=False)
    free = _free(frame.schema, target)
    cells = sum(int((frame[name] == target.identifier).sum()) for name in free)
    return int(_theirs(frame, target).sum()) + cells


def _texts_of(path: Path) -> str:
    """A file of any kind as text; of safetensors only the header, which holds all its texts."""
    with path.open("rb") as stream:
        if path.suffix == ".safetensors":
            size = int.from_bytes(stream.read(8), "little")
            data = stream.read(min(size, 100_000_000))
        else:
            data = stream.read()
    return data.decode("utf-8", errors="replace")


def write_without(source: Path, destination: Path, target: Target) -> None:
    """Writes the file without the id.

    Raises:
        InputFault: the file is of a kind that cannot be rewritten.
    """
    if source.suffix == ".parquet":
        frame = pl.read_parquet(source, hive_partitioning=False)
        without(frame, target).write_parquet(destination, compression="zstd", statistics=True)
    elif source.suffix == ".json":
        text, _ = in_json(source.read_text(encoding="utf-8", errors="replace"), target)
        destination.write_text(text, encoding="utf-8")
    elif source.suffix in TEXTS:
        text = source.read_text(encoding="utf-8", errors="replace")
        destination.write_text(target.sure.sub(MARK, text), encoding="utf-8")
    else:
        raise InputFault(
            "the id stands in a file that cannot be rewritten", where=str(source),
            fix="remove the file, then run the same command again",
        )  # fmt: skip


def replace(path: Path, target: Target) -> None:
    """Replaces a file that no manifest speaks of by one without the id, atomically.

    Raises:
        InputFault: the file is of a kind that cannot be rewritten.
    """
    if path.suffix in DATABASES:
        clean_database(path, target)
        return
    aside = path.with_name(f"{durable.TEMPORARY}{path.stem}{path.suffix}")
    try:
        write_without(path, aside, target)
        durable.sync_file(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    durable.sync_folder(path.parent)


def without(frame: pl.DataFrame, target: Target) -> pl.DataFrame:
    """A table without the rows of the id, and without cells of other rows that hold just the id."""
    rows = frame.filter(~_theirs(frame, target))
    free = [pl.col(name) for name in _free(frame.schema, target)]
    return rows.with_columns(pl.when(cell != target.identifier).then(cell) for cell in free)


def _searched(path: Path, target: Target) -> list[str]:
    """Columns that decide: ids, what was refused, keys, and free texts."""
    schema = pl.Schema(pl.read_parquet_schema(path))
    known = {"user_id", "item_id", "similar_item_id", "key", "file", "row", "byte_offset"}
    known |= {"column", "code", "value", "raw", "message"}
    return [name for name in schema if name in known or name in _free(schema, target)]


def _theirs(frame: pl.DataFrame, target: Target) -> pl.Series:
    """Which rows are of the id."""
    found = erasure.concerned(frame, target.erased)
    if "key" in frame.columns:
        found |= frame["key"].is_in(pl.Series(sorted(target.keys), dtype=pl.String).implode())
    if "message" in frame.columns:
        marks = [bool(text) and bool(target.word.search(text)) for text in frame["message"]]
        found |= pl.Series(marks, dtype=pl.Boolean)
    return found.fill_null(False)


def _free(schema: pl.Schema, target: Target) -> list[str]:
    """Text columns that somebody else filled; a table of items knows no users."""
    if not target.telling or (target.kind == "user" and "user_id" not in schema):
        return []
    return [name for name, kind in schema.items() if kind == pl.String and name not in OWNED]

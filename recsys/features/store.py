"""Vectors by content: each text, image and clip is encoded once per encoder, wherever it moves.

A store is a published folder; what a running encoder has finished lies beside it in a journal, one
file a batch, so that a kill loses at most the batch in work.
"""

import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys import artefacts, durable, memory
from recsys.errors import InputFault, MismatchFault
from recsys.features.media import TRANSIENT
from recsys.progress import say

Vectors = npt.NDArray[np.float32]
KIND = "embeddings"
ROWS = 1 << 18  # of a table, read at a time
TABLE, FAILURES = "vectors.parquet", "failures.parquet"
FAILURE_SCHEMA = {"key": pl.String, "code": pl.String, "message": pl.String}


@dataclass(frozen=True)
class Batch:
    """A finished batch: vectors of some keys, and why others have none."""

    keys: tuple[str, ...]
    vectors: Vectors
    failures: tuple[tuple[str, str, str], ...] = ()


@dataclass
class Store:
    """The vectors of one modality by one encoder.

    Attributes:
        root: folder of the modality.
        name: the encoder's fingerprint, the name of the published folder.
        width: D.
        rows: place of each key in `vectors`.
        vectors: `[n, D]`.
        failures: key -> (code, message).
    """

    root: Path
    name: str
    width: int
    rows: dict[str, int] = field(default_factory=dict)
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        """Where finished batches lie until they are published."""
        return self.root / f".journal-{self.name}"

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Keys that have neither a vector nor a recorded failure, sorted and distinct."""
        return sorted({key for key in keys if key not in self.rows and key not in self.failures})

    def places(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """`[n]` rows of `vectors` that `keys` have; -1 where there is none."""
        return np.array([self.rows.get(key, -1) for key in keys], dtype=np.int64)

    def read(self, keys: Sequence[str]) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """Vectors `[n, D]` of `keys`, zeros where there is none, and which are present `[n]`."""
        places = self.places(keys)
        present = places >= 0
        vectors = np.zeros((len(places), self.width), np.float32)
        vectors[present] = self.vectors[places[present]]
        return vectors, present


def open_store(root: Path, name: str, width: int, *, heal: bool = False) -> Store:
    """Opens a store; one that is not there is empty.

    Args:
        root: folder of the modality.
        name: the encoder's fingerprint.
        width: D.
        heal: a damaged store counts as empty, for one who makes it again.

    Raises:
        InputFault: it is damaged.
        MismatchFault: it holds vectors of another width.
    """
    store = Store(root, name, width, vectors=np.zeros((0, width), np.float32))
    if not (root / name).is_dir():
        return store
    try:
        artefacts.read(root / name, KIND)
        keys, vectors = _read(root / name / TABLE)
        failures = pl.read_parquet(root / name / FAILURES)
    except (InputFault, pl.exceptions.PolarsError, OSError) as error:
        if not heal:
            raise InputFault(
                f"damaged embeddings: {str(error)[:200]}", where=str(root / name),
                fix="`recsys encode` makes them again",
            ) from None  # fmt: skip
        say(f"embeddings {root / name} are damaged and made again: {str(error)[:200]}")
        return store
    if len(keys) and vectors.shape[1] != width:
        raise MismatchFault(
            "stored vectors are of another width", value=f"{vectors.shape[1]} instead of {width}",
            where=str(root / name), fix="remove that folder; the vectors are made again",
        )  # fmt: skip
    store.rows = {key: row for row, key in enumerate(keys)}
    store.vectors = vectors.reshape(len(keys), width)
    store.failures = {key: (code, text) for key, code, text in failures.iter_rows()}
    return store


def _read(path: Path) -> tuple[pl.Series, Vectors]:
    """Keys and vectors `[n, D]` of a table, some rows at a time; many lie in a file without a name.

    Raises:
        PolarsError, OSError: it is damaged.
    """
    table = pl.scan_parquet(path, glob=False)
    keys = table.select("key").collect()["key"]
    kind = table.collect_schema()["vector"]
    width = kind.size if isinstance(kind, pl.Array) else 0
    vectors = _room(path.parent, len(keys), width)
    for start in range(0, len(keys), ROWS):
        part = table.select("vector").slice(start, ROWS).collect()["vector"]
        vectors[start : start + ROWS] = part.to_numpy()
    return keys, vectors


def _room(folder: Path, count: int, width: int) -> Vectors:
    room = memory.spilled(4 * count * width, folder, memory.LARGE)
    return room.view(np.float32).reshape(count, width)


def keep(store: Store, batch: Batch) -> None:
    """Puts a finished batch into the journal: durable, and named by its content's hash."""
    content = io.BytesIO()
    frame = _vector_frame(batch.keys, batch.vectors, store.width)
    failed = pl.DataFrame(list(batch.failures), schema=FAILURE_SCHEMA, orient="row")
    pl.concat([frame, failed], how="diagonal").write_parquet(content)
    data = content.getvalue()
    name = f"{hashlib.sha256(data).hexdigest()}.parquet"
    store.journal.mkdir(parents=True, exist_ok=True)
    temporary = store.journal / f"{durable.TEMPORARY}{secrets.token_hex(4)}"
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(store.journal / name)
    durable.sync_folder(store.journal)


def finished(store: Store) -> list[Batch]:
    """Batches of the journal; damaged ones are removed and made again."""
    batches: list[Batch] = []
    if not store.journal.is_dir():
        return batches
    for path in sorted(store.journal.glob("*.parquet")):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != path.stem:
            say(f"{path} is damaged; its batch is encoded again")
            path.unlink()
            continue
        frame = pl.read_parquet(data)
        good = frame.filter(pl.col("code").is_null())
        bad = frame.filter(pl.col("code").is_not_null()).select(list(FAILURE_SCHEMA))
        vectors = good["vector"].to_numpy().reshape(len(good), store.width)
        batches.append(Batch(tuple(good["key"]), vectors, tuple(bad.iter_rows())))
    return batches


def publish(store: Store, batches: Iterable[Batch]) -> Store:
    """Publishes the store with further batches, sorted by key, and clears the journal.

    Failures that can go away by themselves are not recorded, so that the next run tries again.
    """
    names, parts = list(store.rows), [store.vectors]
    failures = dict(store.failures)
    for batch in batches:
        names += batch.keys
        parts.append(batch.vectors.reshape(-1, store.width))
        failures |= {
            key: (code, text) for key, code, text in batch.failures if code not in TRANSIENT
        }
    order = sorted(range(len(names)), key=names.__getitem__)
    keys, width = [names[place] for place in order], store.width
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    vectors, start = _room(store.root, len(keys), width), 0
    for part in parts:
        vectors[places[start : start + len(part)]] = part
        start += len(part)
    rows = [(key, *failures[key]) for key in sorted(failures)]
    with artefacts.publishing(store.root, store.name, KIND, current=False) as staged:
        _vector_frame(keys, vectors, width).write_parquet(staged.folder / TABLE)
        pl.DataFrame(rows, schema=FAILURE_SCHEMA, orient="row").write_parquet(
            staged.folder / FAILURES
        )
        staged.rows |= {TABLE: len(keys), FAILURES: len(rows)}
    shutil.rmtree(store.journal, ignore_errors=True)
    found = {key: row for row, key in enumerate(keys)}
    return Store(store.root, store.name, width, found, vectors, failures)


def _vector_frame(keys: Sequence[str], vectors: Vectors, width: int) -> pl.DataFrame:
    schema = pl.Schema({"key": pl.String(), "vector": pl.Array(pl.Float32, width)})
    return pl.DataFrame({"key": list(keys), "vector": vectors.reshape(-1, width)}, schema=schema)

"""Cleaned interactions on disk: one Parquet folder a bucket of users, published as one artefact.

Ingest writes them; training, the night and erasing a user read them bucket by bucket.
"""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys import artefacts
from recsys.data.interactions import ORDER, Ingested
from recsys.errors import InputFault

KIND = "interactions"
QUARANTINE = "quarantine.parquet"


def bucket_of(user_ids: Iterable[str], count: int) -> npt.NDArray[np.int64]:
    """The bucket of each user: CRC-32 of the id's UTF-8 bytes modulo `count`, the same for ever."""
    return np.fromiter((zlib.crc32(user.encode()) % count for user in user_ids), dtype=np.int64)


def write(
    root: Path, name: str, ingested: Ingested, count: int, parents: Mapping[str, str] | None = None
) -> Path:
    """Publishes `ingested` as `root/name`: `count` buckets, empty ones too, and the quarantine.

    Args:
        root: holds all versions.
        name: of this version.
        ingested: cleaned interactions with their account.
        count: how many buckets.
        parents: names or hashes of what it was made from.

    Raises:
        ResourceFault: the disk is full or not writable.
    """
    frames = split(ingested.frame, count)
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        for bucket, frame in enumerate(frames):
            name_of = part(bucket)
            (staged.folder / name_of).parent.mkdir(parents=True)
            _write(frame, staged.folder / name_of)
            staged.rows[name_of] = frame.height
        _write(ingested.quarantine, staged.folder / QUARANTINE)
        staged.rows[QUARANTINE] = ingested.quarantine.height
        staged.facts.update(
            buckets=count,
            accounting=ingested.accounting,
            filtered=ingested.filtered,
            warnings=ingested.warnings,
            integer_ids=sorted(ingested.integer_ids),
        )
    return root / name


def split(frame: pl.DataFrame, count: int) -> list[pl.DataFrame]:
    """The rows of each of `count` buckets, in their order."""
    users = frame["user_id"].unique().sort()
    table = pl.DataFrame({"user_id": users, "bucket": bucket_of(users, count)})
    marked = frame.join(table, on="user_id", how="left", maintain_order="left")
    parts = marked.partition_by("bucket", as_dict=True, include_key=False, maintain_order=True)
    return [parts.get((bucket,), frame.clear()) for bucket in range(count)]


def read_bucket(folder: Path, bucket: int) -> pl.DataFrame:
    """Rows of one bucket, sorted by (user_id, timestamp, sequence). Check the manifest before.

    Raises:
        InputFault: there is no such bucket, or it cannot be read.
    """
    path = folder / part(bucket)
    try:
        return pl.read_parquet(path, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputFault(
            f"bucket {bucket} cannot be read: {str(error)[:200]}",
            where=str(path), fix="run `recsys ingest` again",
        ) from None  # fmt: skip


def read_all(folder: Path) -> pl.DataFrame:
    """Rows of all buckets, sorted by (user_id, timestamp, sequence).

    Raises:
        InputFault: the folder is no complete set of interactions.
    """
    count = artefacts.read(folder, KIND)["buckets"]
    return pl.concat([read_bucket(folder, bucket) for bucket in range(count)]).sort(ORDER)


def read_quarantine(folder: Path) -> pl.DataFrame:
    """The rows that were refused, as `faults.SCHEMA`."""
    return pl.read_parquet(folder / QUARANTINE)


def part(bucket: int) -> str:
    """The file of a bucket, as the manifest names it."""
    return f"buckets/bucket={bucket:04d}/part-0.parquet"


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd", statistics=True)

"""Cleaned interactions on disk: one Parquet folder a bucket of users, published as one artefact.

Ingest writes them; training, the night and erasing a user read them bucket by bucket.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from recsys import artefacts, durable
from recsys.data.accounts import ORDER, Account
from recsys.data.interactions import Keep
from recsys.errors import InputFault

KIND = "interactions"
QUARANTINE = "quarantine.parquet"


def write(
    root: Path,
    name: str,
    clean: Callable[[Keep], Account],
    count: int,
    parents: Mapping[str, str] | None = None,
) -> Path:
    """Publishes cleaned interactions as `root/name`: `count` buckets, empty ones too, quarantine.

    Args:
        root: holds all versions.
        name: of this version.
        clean: hands over the rows of bucket after bucket, then their account; one bucket at a time
            is in memory.
        count: how many buckets.
        parents: names or hashes of what it was made from.

    Raises:
        ResourceFault: the disk is full or not writable.
    """
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        folder = staged.folder

        def keep(bucket: int, frame: pl.DataFrame) -> None:
            aside = root / f"{durable.TEMPORARY}{bucket:04d}-{secrets.token_hex(4)}"
            _write(frame, aside)
            durable.sync_file(aside)
            place = folder / part(bucket)
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.replace(place)  # in one step: a bucket that was lost is written once more

        account = clean(keep)
        for bucket in range(count):
            rows = pq.read_metadata(folder / part(bucket)).num_rows
            staged.rows[part(bucket)] = rows
        _write(account.quarantine, staged.folder / QUARANTINE)
        staged.rows[QUARANTINE] = account.quarantine.height
        staged.facts.update(
            buckets=count,
            accounting=account.accounting,
            filtered=account.filtered,
            warnings=account.warnings,
            integer_ids=sorted(account.integer_ids),
        )
    return root / name


def read_bucket(folder: Path, bucket: int, columns: list[str] | None = None) -> pl.DataFrame:
    """Rows of one bucket, sorted by (user_id, timestamp, sequence). Check the manifest before.

    Args:
        folder: of the interactions.
        bucket: its number.
        columns: that are wanted; None for all.

    Raises:
        InputFault: there is no such bucket, or it cannot be read.
    """
    path = folder / part(bucket)
    try:
        return pl.read_parquet(path, hive_partitioning=False, columns=columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputFault(
            f"bucket {bucket} cannot be read: {str(error)[:200]}",
            where=str(path), fix="run `recsys ingest` again",
        ) from None  # fmt: skip


def read_each(folder: Path, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The rows of bucket after bucket, each as by `read_bucket`.

    Raises:
        InputFault: the folder is no complete set of interactions.
    """
    for bucket in range(artefacts.read(folder, KIND)["buckets"]):
        yield read_bucket(folder, bucket, columns)


def read_all(folder: Path) -> pl.DataFrame:
    """Rows of all buckets, sorted by (user_id, timestamp, sequence); for logs that fit into memory.

    Raises:
        InputFault: the folder is no complete set of interactions.
    """
    return pl.concat(list(read_each(folder))).sort(ORDER)


def read_quarantine(folder: Path) -> pl.DataFrame:
    """The rows that were refused, as `faults.SCHEMA`."""
    return pl.read_parquet(folder / QUARANTINE)


def part(bucket: int) -> str:
    """The file of a bucket, as the manifest names it."""
    return f"buckets/bucket={bucket:04d}/part-0.parquet"


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd", statistics=True)

"""Which bucket a user belongs to, and a table cut into buckets.

Ingest sorts every file's rows by it, the night deals its users out by it.
"""

import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl


def bucket_of(user_ids: Iterable[str], count: int) -> npt.NDArray[np.int64]:
    """The bucket of each user: CRC-32 of the id's UTF-8 bytes modulo `count`, the same for ever."""
    return np.fromiter((zlib.crc32(user.encode()) % count for user in user_ids), dtype=np.int64)


def split(frame: pl.DataFrame, count: int) -> list[pl.DataFrame]:
    """The rows of each of `count` buckets, in their order."""
    users = frame["user_id"].unique().sort()
    table = pl.DataFrame({"user_id": users, "bucket": bucket_of(users, count)})
    marked = frame.join(table, on="user_id", how="left", maintain_order="left")
    parts = marked.partition_by("bucket", as_dict=True, include_key=False, maintain_order=True)
    return [parts.get((bucket,), frame.clear()) for bucket in range(count)]

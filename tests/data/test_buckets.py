"""Buckets: stable hash, nothing lost or moved on the way through the disk."""

import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import artefacts
from recsys.data import buckets, faults, partition
from recsys.data.accounts import Account
from recsys.data.interactions import Ingested, Keep
from recsys.errors import InputFault

START = datetime(2026, 8, 1, tzinfo=UTC)


def ingested(users: list[str]) -> Ingested:
    """One event a user, in the order that ingest promises."""
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(users, dtype=pl.String),
            "item_id": pl.Series(["i"] * len(users), dtype=pl.String),
            "timestamp": pl.Series(
                [START + timedelta(hours=n) for n in range(len(users))],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "event": pl.Series(["view"] * len(users), dtype=pl.String),
            "weight": pl.Series([1.0] * len(users), dtype=pl.Float64),
            "sequence": pl.Series(range(len(users)), dtype=pl.Int64),
        }
    ).sort("user_id", "timestamp", "sequence")
    bad = pl.DataFrame({"row": [7], "code": ["empty_id"], "column": ["user_id"]})
    refused = faults.quarantine(bad, "a.csv")
    return Ingested(frame, Account(refused, {"a.csv": {"read": 1}}, {}, ["look"], frozenset()))


def write(root: Path, name: str, whole: Ingested, count: int) -> Path:
    """Publishes what `ingested` made, bucket after bucket."""

    def clean(keep: Keep) -> Account:
        for bucket, frame in enumerate(partition.split(whole.frame, count)):
            keep(bucket, frame)
        return whole.account

    return buckets.write(root, name, clean, count, {"dataset": "x"})


def test_the_bucket_of_a_user_never_changes() -> None:
    # CRC-32 of "123456789" is 0xCBF43926 (the check value of the algorithm): 6 modulo 16.
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert partition.bucket_of(["123456789", "123456789", ""], 16).tolist() == [6, 6, 0]


@given(st.lists(st.text(min_size=1, max_size=4), max_size=30), st.integers(1, 9))
def test_splitting_keeps_every_row_and_each_user_in_one_bucket(
    users: list[str], count: int
) -> None:
    frame = ingested(users).frame
    parts = partition.split(frame, count)
    assert len(parts) == count
    assert pl.concat(parts).sort("user_id", "timestamp", "sequence").equals(frame)
    for bucket, part in enumerate(parts):
        assert set(partition.bucket_of(part["user_id"], count)) <= {bucket}
        assert part["user_id"].is_sorted()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    whole = ingested(["u2", "u1", "é", "u1"])
    folder = write(tmp_path, "v1", whole, 3)
    assert buckets.read_all(folder).equals(whole.frame)
    assert buckets.read_quarantine(folder).equals(whole.account.quarantine)
    found, manifest = artefacts.current(tmp_path, buckets.KIND)
    assert found == folder
    assert (manifest["buckets"], manifest["warnings"]) == (3, ["look"])
    assert manifest["accounting"] == whole.account.accounting
    rows = [entry["rows"] for name, entry in manifest["files"].items() if "bucket" in name]
    assert sum(rows) == 4


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        write(tmp_path, name, ingested(["u2", "u1"]), 2)
    one, two = (artefacts.read(tmp_path / name, buckets.KIND) for name in ("v1", "v2"))
    assert one["content"] == two["content"]


def test_a_missing_bucket_is_a_fault(tmp_path: Path) -> None:
    folder = write(tmp_path, "v1", ingested(["u1"]), 1)
    with pytest.raises(InputFault, match="bucket 5 cannot be read"):
        buckets.read_bucket(folder, 5)

"""Files that have not changed are not read again, and nobody can tell from what comes out."""

import dataclasses
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import interactions, tables
from recsys.data.accounts import Account
from recsys.data.erasure import NOBODY, Erased
from recsys.data.interactions import Ingested
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

NOW = datetime(2026, 8, 10, 12, tzinfo=UTC)
ITEMS = {"i1", "i2", "i3"}
HEAD = "user_id,item_id,timestamp,event\n"


def day(number: int, *rows: str) -> str:
    """A day's file: rows as `user item hour`."""
    lines = [
        f"{user},{item},2026-08-{number:02d}T{int(hour):02d}:00:00Z,view\n"
        for user, item, hour in (row.split() for row in rows)
    ]
    return HEAD + "".join(lines)


class Log:
    """A dataset folder with a file a day, ingested with and without kept parts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.kept, self.read = folder, folder / "kept", list[str]()
        (folder / "interactions").mkdir()
        original = tables.chunks

        def counted(path: Path, *rest: object) -> Iterator[tables.RawTable]:
            self.read.append(path.stem)
            return original(path, *rest)

        monkeypatch.setattr(tables, "chunks", counted)

    def write(self, number: int, *rows: str) -> None:
        (self.folder / "interactions" / f"{number:02d}.csv").write_text(day(number, *rows))

    def ingest(
        self, items: set[str] = ITEMS, now: datetime = NOW, erased: Erased = NOBODY, **rules: object
    ) -> tuple[list[str], Ingested]:
        """Which files were read, and what came out; the same as when all are read."""
        settings = DataSettings.model_validate(
            {"folder": str(self.folder), "unknown_items_fail": 1, "quarantine_fail": 1, **rules}
        )
        self.read.clear()
        made = interactions.ingest(settings, items, now.timestamp(), erased, self.kept)
        read = list(self.read)
        whole = interactions.ingest(settings, items, now.timestamp(), erased)
        assert made.frame.equals(whole.frame)
        for field in dataclasses.fields(Account):
            one, other = (getattr(found.account, field.name) for found in (made, whole))
            same = one.equals(other) if isinstance(one, pl.DataFrame) else one == other
            assert same, field.name
        return read, made


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log(tmp_path, monkeypatch)
    log.write(1, "u1 i1 9", "u2 i2 9", "u1 i1 9")
    log.write(2, "u1 i2 9", "u3 i9 9")
    return log


def test_only_new_and_changed_files_are_read(log: Log) -> None:
    assert log.ingest()[0] == ["01", "02"]
    assert log.ingest()[0] == []
    log.write(3, "u1 i3 9")
    assert log.ingest()[0] == ["03"]
    log.write(1, "u1 i1 9", "u2 i2 9", "u1 i1 9", "u4 i1 23")  # late events
    assert log.ingest()[0] == ["01"]
    (log.folder / "interactions" / "02.csv").unlink()
    assert log.ingest()[0] == []
    assert len(list(log.kept.iterdir())) == 2  # what is gone is not kept


def test_an_unread_file_follows_the_catalogue(log: Log) -> None:
    # i9 comes into the catalogue, i1 leaves it and returns: rows follow, though no file is read
    assert log.ingest()[1].account.filtered == {"unknown_item": 1}
    read, made = log.ingest(ITEMS | {"i9"})
    assert (read, made.account.filtered) == ([], {})
    read, made = log.ingest({"i2", "i9"})
    assert (read, made.account.filtered) == ([], {"unknown_item": 2})
    assert log.ingest(ITEMS | {"i9"})[1].frame.height == 4


def test_rules_and_erasures_read_everything_anew(log: Log) -> None:
    log.ingest()
    assert log.ingest(timezone="Europe/Berlin")[0] == ["01", "02"]
    read, made = log.ingest(erased=NOBODY.adding("user", "u1"))
    assert (read, made.account.filtered) == (["01", "02"], {"erased": 3, "unknown_item": 1})
    for path in log.kept.rglob("*.parquet"):
        assert "u1" not in pl.read_parquet(path).get_column("user_id", default=pl.Series())


def test_what_the_clock_decides_is_decided_each_time(log: Log) -> None:
    # events two days ahead are refused until their day has come; a clock set back refuses again
    log.write(11, "u1 i2 3")  # not an hour too far ahead
    past = day(9, "u2 i1 9", "u2 i2 9").removeprefix(HEAD)
    (log.folder / "interactions" / "12.csv").write_text(day(12, "u1 i1 9") + past)
    read, made = log.ingest()
    assert (read, made.account.quarantine.height) == (["01", "02", "11", "12"], 1)
    assert log.ingest()[0] == ["12"]  # it may be right tomorrow
    read, made = log.ingest(now=NOW + timedelta(days=3))
    assert (read, made.account.quarantine.height) == (["12"], 0)
    assert log.ingest(now=NOW + timedelta(days=3))[0] == []
    assert log.ingest(now=NOW)[1].account.quarantine.height == 1


def test_a_damaged_part_is_made_again(log: Log) -> None:
    log.ingest()
    path = next(log.kept.rglob("rows.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert len(log.ingest()[0]) == 1


def test_kept_parts_still_have_to_agree(log: Log) -> None:
    log.ingest()
    path = log.folder / "interactions" / "03.csv"
    path.write_text("user_id,item_id,timestamp\nu1,i1,2026-08-03T09:00:00Z\n")
    with pytest.raises(InputFault, match="has the column 'event'"):
        log.ingest()


STRETCHES = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", ""]),
        st.sampled_from(["i1", "i2", "x1", "x2", "x3", "x4", "x5", "x6"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@settings(max_examples=15)
@given(STRETCHES, STRETCHES, st.integers(1, 5), st.integers(1, 9))
def test_nobody_can_tell_how_much_was_in_memory(
    one: list[tuple[str, str, int]], two: list[tuple[str, str, int]], rows: int, count: int
) -> None:
    # unknown items are named by their first row in the log, in whatever bucket that is
    names = ["user_id", "item_id", "hour"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "interactions").mkdir()
        for name, events in (("a", one), ("b", two)):
            schema = dict(zip(names, (pl.String, pl.String, pl.Int64), strict=True))
            hour = pl.duration(hours="hour") + datetime(2026, 8, 1, tzinfo=UTC)
            frame = pl.DataFrame(events, schema, orient="row").select(
                "user_id", "item_id", timestamp=hour
            )
            frame.write_parquet(Path(folder) / "interactions" / f"{name}.parquet")
        rules = {"folder": folder, "unknown_items_fail": 1, "quarantine_fail": 1}
        small, large = (
            interactions.ingest(DataSettings.model_validate(rules | more), {"i1", "i2"}, 1.8e9)
            for more in ({"chunk_rows": rows, "buckets": count}, {"buckets": 1})
        )
    assert small.frame.equals(large.frame)
    assert small.account.quarantine.equals(large.account.quarantine)
    assert small.account.warnings == large.account.warnings
    assert small.account.accounting == large.account.accounting

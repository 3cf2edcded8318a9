"""Carries a plan out: every file read block by block, every row accounted for, one folder made."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import durable
from recsys.data.importers import folder, media, npy, typed
from recsys.data.importers.accounts import Account
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import IDS, KEY, ROW, Plan, Table
from recsys.data.settings import DataSettings
from recsys.errors import InputFault


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Attributes:
        accounts: one a file.
        counts: rows of each table of ours, media files and vectors.
        notes: what a person should know.
    """

    accounts: tuple[Account, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]


def carry_out(plan: Plan, origin: Origin, out: Path, source: str, data: DataSettings) -> Imported:
    """Makes the dataset folder `out` from a plan; the same input gives the same bytes.

    Args:
        plan: what to do.
        origin: where the files lie.
        out: the dataset folder; it must not exist.
        source: name of the format, for the settings file.
        data: how many rows may be refused.

    Raises:
        InputFault: a file is damaged or not what the format says; too many rows cannot be used.
        ResourceFault: the disk is full or not writable.
    """
    accounts: list[Account] = []
    counts: dict[str, int] = {}
    with folder.appearing(out) as staging:
        made = {name: _Made(staging / f"{name}.parquet") for name in _names(plan)}
        for table in plan.tables:
            accounts += _add(table, origin, made[table.name], data)
        counts = {name: one.close() for name, one in made.items()}
        if not counts["interactions"]:
            raise InputFault(
                "the data set has no interactions", where=str(origin.path),
                fix="name another folder",
            )  # fmt: skip
        if "items" not in counts:
            counts["items"] = _items_of(made["interactions"], staging / "items.parquet")
        for name, file in plan.vectors.items():
            accounts.append(npy.write(origin, file, staging / "features" / f"{name}.parquet"))
            counts[f"features/{name}"] = accounts[-1].kept
        if plan.media:
            folder.place(origin, plan.media, staging)
            counts["media files"] = len(plan.media)
        notes = plan.notes
        if plan.media_folder is not None:
            found, told = media.gather(origin, plan.media_folder, staging)
            counts, notes = counts | found, notes + told
        folder.write_settings(staging, out, source, plan.settings)
    return Imported(tuple(accounts), counts, notes)


@dataclass
class _Made:
    """One table of the dataset folder while it is written."""

    path: Path
    writer: pq.ParquetWriter | None = None
    rows: int = 0
    ids: pl.Series | None = None  # of items or users: all; of interactions: the items seen
    schema: dict[str, pl.DataType] = field(default_factory=dict)

    def agree(self, frame: pl.DataFrame, file: str) -> None:
        """Refuses rows whose columns are not those of the rows before.

        Raises:
            InputFault: names the column.
        """
        found = dict(frame.schema)
        self.schema = self.schema or found
        if found != self.schema:
            name = next(n for n in (*found, *self.schema) if found.get(n) != self.schema.get(n))
            raise InputFault(
                f"parts of one table differ: {name!r} is {found.get(name)} here and "
                f"{self.schema.get(name)} before",
                where=file, fix="write all parts with the same columns and types",
            )  # fmt: skip

    def write(self, frame: pl.DataFrame) -> None:
        """Adds rows."""
        table = frame.to_arrow()
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self.writer.write_table(table.cast(pa.schema(self.writer.schema)))
        self.rows += frame.height

    def remember(self, ids: pl.Series) -> None:
        """Adds ids to those that were seen."""
        self.ids = ids if self.ids is None else pl.concat([self.ids, ids])

    def close(self) -> int:
        """Makes the table durable; returns its rows."""
        if self.writer is not None:
            self.writer.close()
            durable.sync_file(self.path)
        return self.rows


def _names(plan: Plan) -> list[str]:
    return list(dict.fromkeys(table.name for table in plan.tables))


def _add(table: Table, origin: Origin, made: _Made, data: DataSettings) -> list[Account]:
    """Adds the rows of one file to its table; returns its account and those of files beside it."""
    account = Account(table.file, table.name)
    accounts, beside = [account], []
    for other in table.beside:
        if isinstance(other, Table):
            accounts.append(Account(other.file, f"{table.name}, beside"))
            beside.append(_whole(other, origin, accounts[-1]))
        else:
            beside.append(other)
    name = IDS.get(table.name)
    for found in typed.read(table, origin, account):
        made.agree(found, table.file)
        if name:
            frame = typed.first_of_each(found, name, made.ids, account)
            made.remember(frame[name])
        else:
            frame = found
            fresh = frame["item_id"].unique()
            made.remember(
                fresh if made.ids is None else fresh.filter(~fresh.is_in(made.ids.implode()))
            )
        account.kept += frame.height
        made.write(typed.joined(frame, table, beside).drop(ROW))
    for one in accounts:
        one.check(data.quarantine_fail)
    return accounts


def _whole(table: Table, origin: Origin, account: Account) -> pl.DataFrame:
    """A file beside another one, whole, one row a KEY."""
    frame = pl.concat(list(typed.read(table, origin, account)))
    frame = typed.first_of_each(frame, KEY, None, account)
    account.kept += frame.height
    return frame.drop(ROW)


def _items_of(interactions: _Made, path: Path) -> int:
    """Writes a catalogue of nothing but the ids of the interactions; returns its rows."""
    assert interactions.ids is not None
    frame = interactions.ids.sort().to_frame("item_id")
    frame.write_parquet(path)
    durable.sync_file(path)
    return frame.height

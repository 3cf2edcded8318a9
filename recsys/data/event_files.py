"""One file of interactions, read, typed and checked; unchanged files are not read again.

A night's log is many files of which one is new. What a file came to is kept under a name that its
bytes, the rules and the list of erased ids fix, so that the kept part is what reading again would
give. Its rows lie there by bucket of users, so that a bucket is read without the others. Called by
`interactions`; the folder of kept parts may be deleted at any time.
"""

import contextlib
import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from recsys import __version__, artefacts, durable
from recsys.artefacts import Staged
from recsys.data import checks, erasure, faults, partition, schemas, tables
from recsys.data.erasure import Erased
from recsys.data.raw import RawTable, Shape, label
from recsys.data.settings import DataSettings
from recsys.data.time_range import DAY
from recsys.errors import InputFault
from recsys.progress import say
from recsys.settings import fingerprint

KIND, LAYOUT = "event-file", 2
ROWS, REFUSED = "rows.parquet", "refused.parquet"
BY_THE_CLOCK = "timestamp_range"  # tomorrow such a row may be right


@dataclass(frozen=True)
class Part:
    """What is left of one file: usable and bad rows, and what the reader noticed.

    Rows of erased users and items are not kept, only counted.

    Attributes:
        shape: its name, its columns and their kinds.
        read, blank, erased: counts of rows.
        rows: the Parquet file of its usable rows.
        newest: of the usable rows, epoch seconds; None without any.
        bad: quarantined rows, as `faults.SCHEMA`.
        unread: columns that nothing reads.
        integer_ids: which ids are numbers in the file.
        warnings: what the reader noticed.
    """

    shape: Shape
    read: int
    blank: int
    erased: int
    rows: Path
    newest: int | None
    bad: pl.DataFrame
    unread: tuple[str, ...]
    integer_ids: frozenset[str]
    warnings: tuple[str, ...]

    @property
    def file(self) -> str:
        """How messages name it."""
        return self.shape.file

    def bucket(self, number: int) -> pl.LazyFrame:
        """Usable rows of a bucket of users, in their order.

        They have `row` in the file, user_id, item_id, timestamp, event, weight, extra columns.
        """
        rows = pl.scan_parquet(self.rows, hive_partitioning=False, glob=False)
        return rows.filter(pl.col("bucket") == number).drop("bucket")


@dataclass(frozen=True)
class Keeper:
    """Reads files, and keeps what they came to.

    Attributes:
        settings: the rules.
        now_seconds: the present, epoch seconds.
        erased: ids whose rows are left out.
        folder: of the kept parts.
        lasting: whether they shall outlive this run.
    """

    settings: DataSettings
    now_seconds: float
    erased: Erased
    folder: Path
    lasting: bool

    def part(self, path: Path) -> Part:
        """What a file came to, kept or read now.

        Raises:
            InputFault, ResourceFault: as `tables.chunks` and `checks.typed`.
        """
        file = label(path, self.settings)
        if not self.lasting:
            staged = Staged(Path(tempfile.mkdtemp(dir=self.folder)))
            self._read(path, staged)
            return _part(staged.folder, file, staged.facts)
        name = self._name(path)
        part = _kept(self.folder, name, file)
        if part is not None and self._still_true(part):
            return part
        with artefacts.publishing(self.folder, name, KIND, current=False, alone=False) as staged:
            self._read(path, staged)
        return _part(self.folder / name, file, staged.facts)

    def forget_others(self, parts: Sequence[Part]) -> None:
        """Removes kept parts of files that are gone, or other ones now, and what kills left."""
        if self.lasting:
            artefacts.sweep(self.folder)
            asked_for = {part.rows.parent.name for part in parts}
            for name in {*artefacts.versions(self.folder)} - asked_for:
                shutil.rmtree(self.folder / name)

    def _name(self, path: Path) -> str:
        rules = f"{__version__} {LAYOUT} {fingerprint(self.settings, without='folder')}"
        rules += f" {self.erased.digest}"
        with tables.readable(path, self.settings):
            text = f"{rules} {label(path, self.settings)} {durable.sha256(path)}"
        return f"part-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def _still_true(self, part: Part) -> bool:
        """Whether no row was refused as of the future, or would be by a clock that was set back."""
        past = part.newest is None or part.newest < self.now_seconds + DAY
        return past and BY_THE_CLOCK not in part.bad["code"]

    def _read(self, path: Path, staged: Staged) -> None:
        """Writes what the file comes to; a stretch of its rows at a time is in memory."""
        extra = self.settings.extra_columns
        required, wanted = (*checks.REQUIRED, *extra), (*checks.KNOWN, *extra)
        counts, refused, warnings, newest = Counter[str](), [], list[str](), list[int]()
        with _writing(staged.folder / ROWS) as write:
            for raw in tables.chunks(path, self.settings, required, wanted):
                good, bad = self._checked(raw)
                for bucket, rows in enumerate(partition.split(good, self.settings.buckets)):
                    write(rows.with_columns(bucket=pl.lit(bucket, pl.Int16)))
                erased = raw.read - good.height - bad.height
                counts.update(read=raw.read, blank=raw.blank, erased=erased)
                newest += good["timestamp"].dt.epoch("s").top_k(1).to_list()
                refused.append(bad)
                warnings += raw.warnings
                kinds = schemas.shape(raw).kinds
                told = {"unread": list(raw.unread), "integer_ids": sorted(raw.integer_ids)}
        faults.together(refused).write_parquet(staged.folder / REFUSED, compression="zstd")
        staged.facts |= {name: counts[name] for name in ("read", "blank", "erased")}
        staged.facts |= {"kinds": dict(kinds), "columns": list(kinds), **told}
        staged.facts |= {"newest": max(newest, default=None), "warnings": warnings}

    def _checked(self, raw: RawTable) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Usable and refused rows, without those of erased ids."""
        good, refused = checks.typed(raw, self.settings, self.now_seconds)
        refused = faults.together([raw.quarantine, refused])
        return erasure.without(good, self.erased), erasure.without(refused, self.erased)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Callable[[pl.DataFrame], None]]:
    """Writes frames to one Parquet file, each as a row group of its own; empty ones leave none."""
    with contextlib.ExitStack() as stack:
        writers: list[pq.ParquetWriter] = []

        def write(frame: pl.DataFrame) -> None:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            if not writers:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
                writers.append(stack.enter_context(writer))
            if frame.height:
                writers[0].write_table(table, row_group_size=frame.height)

        yield write


def _kept(folder: Path, name: str, file: str) -> Part | None:
    """A kept part; None where there is none that is whole."""
    place = folder / name
    if not (place / artefacts.MANIFEST).is_file():
        return None
    try:
        return _part(place, file, artefacts.read(place, KIND))
    except InputFault as fault:
        say(f"{place} is made again: {fault.what}")
        return None


def _part(place: Path, file: str, facts: Mapping[str, Any]) -> Part:
    return Part(
        shape=Shape(file, {column: facts["kinds"][column] for column in facts["columns"]}),
        read=facts["read"],
        blank=facts["blank"],
        erased=facts["erased"],
        rows=place / ROWS,
        newest=facts["newest"],
        bad=pl.read_parquet(place / REFUSED),
        unread=tuple(facts["unread"]),
        integer_ids=frozenset(facts["integer_ids"]),
        warnings=tuple(facts["warnings"]),
    )

"""One file of interactions, read, typed and checked; unchanged files are not read again.

A night's log is many files of which one is new. What a file came to is kept under a name that its
bytes, the rules and the list of erased ids fix, so that the kept part is what reading again would
give. Called by `interactions`; the folder of kept parts may be deleted at any time.
"""

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from recsys import __version__, artefacts, durable
from recsys.data import checks, erasure, faults, schemas, tables
from recsys.data.erasure import Erased
from recsys.data.raw import Shape, label
from recsys.data.settings import DataSettings
from recsys.data.time_range import DAY
from recsys.errors import InputFault
from recsys.progress import say
from recsys.settings import fingerprint

KIND = "event-file"
ROWS, REFUSED = "rows.parquet", "refused.parquet"
BY_THE_CLOCK = "timestamp_range"  # tomorrow such a row may be right


@dataclass(frozen=True)
class Part:
    """What is left of one file: usable and bad rows, and what the reader noticed.

    Rows of erased users and items are not kept, only counted.

    Attributes:
        shape: its name, its columns and their kinds.
        read, blank, erased: counts of rows.
        good: `row` in the file, user_id, item_id, timestamp, event, weight, extra columns.
        bad: quarantined rows, as `faults.SCHEMA`.
        unread: columns that nothing reads.
        integer_ids: which ids are numbers in the file.
        warnings: what the reader noticed.
    """

    shape: Shape
    read: int
    blank: int
    erased: int
    good: pl.DataFrame
    bad: pl.DataFrame
    unread: tuple[str, ...]
    integer_ids: frozenset[str]
    warnings: tuple[str, ...]

    @property
    def file(self) -> str:
        """How messages name it."""
        return self.shape.file


@dataclass(frozen=True)
class Keeper:
    """Reads files, and keeps what they came to.

    Attributes:
        settings: the rules.
        now_seconds: the present, epoch seconds.
        erased: ids whose rows are left out.
        folder: of the kept parts; None keeps nothing.
        names: of the parts asked for so far.
    """

    settings: DataSettings
    now_seconds: float
    erased: Erased
    folder: Path | None
    names: set[str] = field(default_factory=set)

    def part(self, path: Path) -> Part:
        """What a file came to, kept or read now.

        Raises:
            InputFault, ResourceFault: as `tables.read` and `checks.typed`.
        """
        if self.folder is None:
            return self._read(path)
        name = self._name(path)
        self.names.add(name)
        part = _kept(self.folder, name)
        if part is not None and self._still_past(part):
            return replace(part, shape=replace(part.shape, file=label(path, self.settings)))
        part = self._read(path)
        if BY_THE_CLOCK not in part.bad["code"]:
            _keep(self.folder, name, part)
        return part

    def forget_others(self) -> None:
        """Removes kept parts that nobody asked for: of files that are gone, or other ones now."""
        if self.folder is None:
            return
        for name in artefacts.versions(self.folder):
            if name not in self.names:
                shutil.rmtree(self.folder / name)

    def _name(self, path: Path) -> str:
        rules = f"{__version__} {fingerprint(self.settings)} {self.erased.digest}"
        text = f"{rules} {label(path, self.settings)} {durable.sha256(path)}"
        return f"part-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def _still_past(self, part: Part) -> bool:
        """Whether no kept row lies in the future of a clock that was set back."""
        newest = part.good["timestamp"].dt.epoch("s").max()
        return not isinstance(newest, int) or newest < self.now_seconds + DAY

    def _read(self, path: Path) -> Part:
        extra = self.settings.extra_columns
        required, wanted = (*checks.REQUIRED, *extra), (*checks.KNOWN, *extra)
        raw = tables.read(path, self.settings, required, wanted)
        good, refused = checks.typed(raw, self.settings, self.now_seconds)
        refused = faults.together([raw.quarantine, refused])
        kept, bad = erasure.without(good, self.erased), erasure.without(refused, self.erased)
        return Part(
            shape=schemas.shape(raw),
            read=raw.read,
            blank=raw.blank,
            erased=good.height + refused.height - kept.height - bad.height,
            good=kept,
            bad=bad,
            unread=raw.unread,
            integer_ids=raw.integer_ids,
            warnings=raw.warnings,
        )


def _keep(folder: Path, name: str, part: Part) -> None:
    with artefacts.publishing(folder, name, KIND, current=False) as staged:
        part.good.write_parquet(staged.folder / ROWS, compression="zstd")
        part.bad.write_parquet(staged.folder / REFUSED, compression="zstd")
        staged.facts |= {
            "kinds": dict(part.shape.kinds),
            "columns": list(part.shape.kinds),
            "read": part.read,
            "blank": part.blank,
            "erased": part.erased,
            "unread": list(part.unread),
            "integer_ids": sorted(part.integer_ids),
            "warnings": list(part.warnings),
        }


def _kept(folder: Path, name: str) -> Part | None:
    """A kept part; None where there is none that is whole."""
    place = folder / name
    if not (place / artefacts.MANIFEST).is_file():
        return None
    try:
        facts = artefacts.read(place, KIND)
    except InputFault as fault:
        say(f"{place} is made again: {fault.what}")
        return None
    return Part(
        shape=Shape("", {column: facts["kinds"][column] for column in facts["columns"]}),
        read=facts["read"],
        blank=facts["blank"],
        erased=facts["erased"],
        good=pl.read_parquet(place / ROWS),
        bad=pl.read_parquet(place / REFUSED),
        unread=tuple(facts["unread"]),
        integer_ids=frozenset(facts["integer_ids"]),
        warnings=tuple(facts["warnings"]),
    )

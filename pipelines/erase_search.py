"""Where an id stands: in every file below the work folder, and in the dataset folder. For erase."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.erase_files import places
from pipelines.erase_texts import Target
from pipelines.erase_versions import kind_of
from pipelines.settings import Settings
from recsys import artefacts, durable
from recsys.data import catalogue, entities, erasure, tables
from recsys.data.erasure import Kind
from recsys.errors import Fault, InputFault, UsageFault

KEYS = ("text_hash", "image_hash", "video_hash", "audio_hash")


@dataclass
class Found:
    """What a search found.

    Attributes:
        hits: file -> how often the id stands in it.
        versions: folders of artefacts with such a file, or with one that must go with it.
        unread: files that could not be searched, and why.
    """

    hits: dict[Path, int] = field(default_factory=dict)
    versions: list[Path] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def loose(self) -> list[Path]:
        """Files with the id that belong to no artefact."""
        return [path for path in self.hits if not _inside(path, self.versions)]

    def of(self, folder: Path) -> dict[Path, int]:
        """The hits below a folder."""
        return {path: count for path, count in self.hits.items() if path.is_relative_to(folder)}


def target(settings: Settings, kind: Kind, identifier: str) -> Target:
    """What is to be looked for.

    Raises:
        UsageFault: no id, or one that the settings name themselves.
        InputFault: a catalogue is damaged.
    """
    if not identifier.strip():
        raise UsageFault("there is no id", fix="say whom: `recsys erase u17`")
    if kind == "item" and identifier in settings.nightly.blocked:
        raise UsageFault(
            "the settings name this item", value=identifier, where="nightly.blocked",
            fix="take it out there; an erased item is not listed anyway",
        )  # fmt: skip
    work = settings.root
    paths = (str(work), str(work.resolve()), settings.data.folder)
    return Target(kind, identifier, _keys(work, kind, identifier), paths)


def everywhere(settings: Settings, target: Target) -> Found:
    """Searches every file below the work folder but the dataset's own."""
    found = Found()
    for path in _files(settings):
        try:
            count = places(path, target)
        except FileNotFoundError:  # a night has just replaced it
            continue
        except InputFault as fault:
            found.unread.append(f"{path}: {fault.what}")
            continue
        if count:
            found.hits[path] = count
    folders = {_version(path, settings.root) for path in found.hits}
    found.versions = sorted(folder for folder in folders if folder)
    return found


def reports(settings: Settings) -> list[Path]:
    """Every night's report below the work folder, published or refused."""
    return [path for path in _files(settings) if path.name == "report.html"]


def dataset(settings: Settings, target: Target) -> list[dict[str, Any]]:
    """The files of the dataset folder in which the id stands, with rows; null where unreadable.

    Of a dataset in an object store it is the mirror that is searched; each file's object is named.
    """
    folder = Path(settings.data.folder)
    found: list[dict[str, Any]] = []
    names = ("interactions", "users") if target.kind == "user" else ("interactions", "items")
    for name in names:
        data = settings.data if name == "interactions" else entities.located(settings.data, folder)
        for path in _parts(folder, name):
            try:
                rows: int | None = _rows(tables.read(path, data, (), _owners(target)), target)
            except Fault:
                rows = None
            if rows != 0:
                found.append({"file": str(path), "rows": rows})
    for path in catalogue.ready_made(folder).values() if target.kind == "item" else ():
        frame = pl.read_parquet(path, columns=["item_id"], hive_partitioning=False)
        if rows := int(erasure.concerned(frame, target.erased).sum()):
            found.append({"file": str(path), "rows": rows})
    if address := settings.data.address:
        for row in found:
            row["object"] = f"{address}/{Path(row['file']).relative_to(folder).as_posix()}"
    return found


def sweep(settings: Settings) -> None:
    """Removes what killed runs left half-written anywhere below the work folder."""
    for folder in {path.parent for path in _files(settings, hidden=True)} | {settings.root}:
        if not any(part.startswith(durable.TEMPORARY) for part in folder.parts):
            artefacts.sweep(folder)


def _rows(table: tables.RawTable, target: Target) -> int:
    refused = erasure.concerned(table.quarantine, target.erased).sum()
    return int(erasure.concerned(table.frame, target.erased).sum()) + int(refused)


def _owners(target: Target) -> tuple[str, ...]:
    return erasure.OWNERS[target.kind][:1]


def _parts(folder: Path, name: str) -> list[Path]:
    try:
        return tables.find(folder, name)
    except InputFault:
        return []


def _files(settings: Settings, hidden: bool = False) -> Iterator[Path]:
    """All files below the work folder but for the lock and, where it lies there, the dataset."""
    work, shop = settings.root, Path(settings.data.folder).resolve()
    if shop == work.resolve():
        raise UsageFault(
            "the dataset folder is the work folder", value=str(work), where="work, data.folder",
            fix="give the work a folder of its own",
        )  # fmt: skip
    for place, folders, names in os.walk(work):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if (here / name).resolve() != shop and not (here / name).is_symlink()
        )
        for name in sorted(names):
            path = here / name
            own = name == ".lock" or (name.startswith(durable.TEMPORARY) and not hidden)
            if not path.is_symlink() and not own:
                yield path


def _version(path: Path, work: Path) -> Path | None:
    """The artefact that a file belongs to; None for a loose one."""
    for folder in path.parents:
        if folder == work:
            return None
        if (folder / artefacts.MANIFEST).is_file() and kind_of(folder):
            return folder
    return None


def _inside(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _keys(work: Path, kind: Kind, identifier: str) -> frozenset[str]:
    """Content keys that in all catalogues below the work folder only this item has."""
    root = work / "catalogue"
    if kind == "user":
        return frozenset()
    theirs: set[str] = set()
    others: set[str] = set()
    for name in artefacts.versions(root):
        items = catalogue.load(root / name).items
        for mine, into in ((True, theirs), (False, others)):
            rows = items.filter((pl.col("item_id") == identifier) == mine)
            for key in KEYS:
                column = rows[key]
                into |= set(column.explode() if column.dtype == pl.List else column)
    return frozenset(key for key in theirs - others if key is not None)

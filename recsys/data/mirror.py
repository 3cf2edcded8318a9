"""The mirror: a folder of the work folder that holds what lies at the address of a dataset.

Everything that reads a dataset reads a folder of a disk. Of a dataset in an object store that is
its mirror: ingest and check bring it up to date before they read, nothing else asks the store.
What was seen of each object stands in `objects.json` beside it, so that only what is new or has
changed travels. Killed at any moment, the next start goes on; the mirror may be deleted, too.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from recsys import artefacts, durable
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, ResourceFault
from recsys.progress import LINE_SECONDS, say, track
from recsys.remote import Seen, Store

RECORD = "objects.json"
THREADS = 8  # objects that travel at a time: a small one is mostly waiting
LONGEST_NAME = 255  # bytes of a part of a path, on every usual disk
Record = dict[str, dict[str, Any]]


def update(data: DataSettings) -> dict[str, int]:
    """Brings the mirror to what the store holds now; for whoever holds the work folder's lock.

    Args:
        data: with an `address`; `folder` is the mirror.

    Returns:
        how many objects there are, how many of them and how many bytes came, how many files went.

    Raises:
        UsageFault: the package for the store is not installed.
        InputFault: nothing is there; a name that leaves the mirror; an object that changed while it
            was read, or is shorter than listed.
        ResourceFault: the store cannot be reached, or refuses; the disk is full.
    """
    store, place = Store(data.address), Path(data.folder)
    listed = store.objects()
    _refuse_names(listed, data.address)
    place.mkdir(parents=True, exist_ok=True)
    artefacts.sweep(place.parent)
    gone = _remove_others(place, listed)
    record = _read(place, data.address)
    new = sorted(name for name, now in listed.items() if not _there(place, name, now, record))
    total = sum(listed[name].size for name in new)
    say(
        f"{data.address}: {len(new):,} of {len(listed):,} objects are new or have changed "
        f"({total / 1e6:,.1f} MB), {gone:,} are gone"
    )
    _require_space(place, new, listed)
    if new or gone:
        _bring(store, place, new, listed, record)
    return {"objects": len(listed), "brought": len(new), "bytes": total, "gone": gone}


def _refuse_names(names: Iterable[str], address: str) -> None:
    """Refuses names that leave the mirror, or that no disk can hold beside the others."""
    names = set(names)
    for name in sorted(names):
        parts = name.split("/")
        above = {"/".join(parts[:size]) for size in range(1, len(parts))}
        if (
            not {"", ".", ".."}.isdisjoint(parts)
            or "\0" in name
            or any(len(os.fsencode(part)) > LONGEST_NAME for part in parts)
            or above & names
        ):
            raise InputFault(
                "an object has a name that cannot be a file of the mirror", value=name,
                where=address, fix="rename it, or take it away",
            )  # fmt: skip


def _remove_others(place: Path, listed: Mapping[str, Seen]) -> int:
    """Removes every file, link and folder of the mirror that no object stands for."""
    gone = 0
    for folder, folders, files in os.walk(place, topdown=False):
        for path in [Path(folder, name) for name in files + folders]:
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.is_symlink() or path.relative_to(place).as_posix() not in listed:
                path.unlink()
                gone += 1
    return gone


def _there(place: Path, name: str, now: Seen, record: Record) -> bool:
    """Whether the mirror has this version of an object, as it was written."""
    try:
        kept, found = record[_key(name)], (place / name).stat()
        same = now.same(Seen(kept["size"], kept["marks"]))
        return same and (found.st_size, found.st_mtime_ns) == (now.size, kept["modified_ns"])
    except (OSError, KeyError, TypeError):
        return False


def _require_space(place: Path, new: list[str], listed: Mapping[str, Seen]) -> None:
    """Refuses to begin what cannot end."""
    sizes = [(place / name).stat().st_size for name in new if (place / name).is_file()]
    growth = sum(listed[name].size for name in new) - sum(sizes)
    free = shutil.disk_usage(place).free
    if growth > free:
        raise ResourceFault(
            "the disk has no room for the objects that are new",
            value=f"{growth:,} bytes more, {free:,} are free", where=str(place),
            fix="free space, or give `work` a larger disk, then run the same command again",
        )  # fmt: skip


def _bring(
    store: Store, place: Path, new: list[str], listed: Mapping[str, Seen], record: Record
) -> None:
    """Copies the objects, several at a time; the record follows, also where it ends early."""
    names = {_key(name) for name in listed}
    record = {key: kept for key, kept in record.items() if key in names}
    pool, last = ThreadPoolExecutor(THREADS), time.monotonic()
    begun = {pool.submit(_copy, store, place, name, listed[name]): name for name in new}

    def keep() -> None:
        whole = [one for one in begun if one.done() and not one.cancelled() and not one.exception()]
        record.update({_key(begun[one]): one.result() for one in whole})
        folders = {folder for one in whole for folder in (place / begun[one]).parents}
        for folder in folders:
            if folder.is_relative_to(place.parents[1]):
                durable.sync_folder(folder)
        told = {"address": store.address, "objects": record}
        durable.replace_json(place.parent / RECORD, told)

    try:
        for done in track(as_completed(begun), "mirror", total=len(begun)):
            done.result()
            if time.monotonic() - last >= LINE_SECONDS:
                keep()
                last = time.monotonic()
    except BaseException:
        pool.shutdown(cancel_futures=True)
        with contextlib.suppress(OSError):  # what went wrong first is what is told
            keep()
        raise
    pool.shutdown()
    keep()


def _copy(store: Store, place: Path, name: str, wanted: Seen) -> dict[str, Any]:
    """Copies one object: aside, compared with what was listed, synced, renamed."""
    staged = place.parent / f"{durable.TEMPORARY}{secrets.token_hex(8)}"
    try:
        store.get(name, staged)
        size, now = staged.stat().st_size, store.look(name)
        if size != wanted.size or not now.same(wanted):
            raise InputFault(
                "the object changed while it was read, or is shorter than listed",
                value=f"{size:,} of {wanted.size:,} bytes", where=f"{store.address}/{name}",
                fix="wait until it has been uploaded, then run the same command again",
            )  # fmt: skip
        durable.sync_file(staged)
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)
    modified = target.stat().st_mtime_ns
    return {"size": size, "marks": dict(wanted.marks), "modified_ns": modified}


def _key(name: str) -> str:
    """How the record calls an object: a hash, for a name may hold what is to be erased one day."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _read(place: Path, address: str) -> Record:
    """What was seen; nothing where the record is of another address, damaged or not there."""
    try:
        found = json.loads((place.parent / RECORD).read_text(encoding="utf-8"))
        return dict(found["objects"]) if found["address"] == address else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}

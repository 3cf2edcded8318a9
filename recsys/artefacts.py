"""The one way to publish: a folder staged aside, fsynced, manifest last, renamed, then a pointer.

Lists, models, indexes, embeddings, catalogues and evaluations are all such folders. A reader sees
all of a version or nothing of it, and a flipped bit is noticed: every load checks the manifest.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys import durable, provenance
from recsys.errors import InputFault, ResourceFault

FORMAT = 2  # since 2 the manifest seals itself
MANIFEST = "manifest.json"
POINTER = "CURRENT"
SEAL = "seal"
STAGING = durable.TEMPORARY


@dataclass
class Staged:
    """A folder being written: files go below `folder`, facts and row counts into the dicts."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def publishing(
    root: Path,
    name: str,
    kind: str,
    *,
    parents: Mapping[str, str] | None = None,
    current: bool = True,
    alone: bool = True,
) -> Iterator[Staged]:
    """Stages a folder; on a clean exit makes it `root/name`, durable, and moves the pointer to it.

    Args:
        root: the folder that holds all versions of one artefact.
        name: of this version. An existing version of that name is replaced.
        kind: what it is (`model`, `release`, ...); a load that expects another kind is refused.
        parents: names or content hashes of the artefacts this one was made from.
        current: whether `root/CURRENT` shall name this version afterwards.
        alone: nobody else publishes below `root` now, so what is staged there is left over.

    Raises:
        ResourceFault: the disk is full or not writable; the older versions are untouched.
    """
    staging = root / f"{STAGING}{name}-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if alone:
            sweep(root)
        staging.mkdir(mode=0o755)
        staged = Staged(staging)
        yield staged
        files = {
            str(path.relative_to(staging)): _sealed(
                path, staged.rows.get(str(path.relative_to(staging)))
            )
            for path in sorted(staging.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "name": name,
            "content": content_hash(files),
            "parents": dict(parents or {}),
            "files": files,
            **provenance.made_with(),
            **staged.facts,
        }
        durable.write_json(staging / MANIFEST, {**manifest, SEAL: seal(manifest)})
        for folder in sorted({path.parent for path in staging.rglob("*")} | {staging}):
            durable.sync_folder(folder)
        _replace(staging, root / name)
        durable.sync_folder(root)
        if current:
            point(root, name)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        number = error.errno if isinstance(error, OSError) else durable.disk_errno(error)
        if not number:
            raise
        raise ResourceFault(
            f"{kind} could not be written: {os.strerror(number)}",
            value=str(getattr(error, "filename", None) or root / name),
            where=f"{_free_bytes(root):,} bytes free there",
            fix="free space or mend the permissions, then run the same command again",
        ) from error


def content_hash(files: Mapping[str, Mapping[str, Any]]) -> str:
    """A hash over names and sha256 of `files`: what the folder holds (16 hex digits)."""
    lines = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def seal(manifest: Mapping[str, Any]) -> str:
    """A hash over all of a manifest but its seal, 16 hex digits: no bit of it changes unnoticed."""
    rest = {key: value for key, value in manifest.items() if key != SEAL}
    plain = json.loads(json.dumps(rest, default=str))  # as a reader sees it
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def read(folder: Path, kind: str, *, check: bool = True) -> dict[str, Any]:
    """Reads a version's manifest and, with `check`, compares every file with it.

    Raises:
        InputFault: no manifest, another kind or newer format, a missing, resized or changed file.
    """
    manifest = _manifest(folder)
    if manifest.get("kind") != kind:
        raise InputFault(
            f"expected a {kind}, found a {manifest.get('kind')}",
            where=str(folder),
            fix="name another folder",
        )
    if manifest.get("format", 0) > FORMAT:
        raise InputFault(
            "written by a newer version of this project",
            value=f"format {manifest['format']}, this version reads up to {FORMAT}",
            where=str(folder), fix="upgrade recsys",
        )  # fmt: skip
    if check:
        for name, entry in manifest["files"].items():
            _compare(folder / name, entry)
    return manifest


def current(root: Path, kind: str, *, check: bool = True) -> tuple[Path, dict[str, Any]]:
    """The live version below `root` and its manifest, checked.

    Raises:
        InputFault: no pointer, an empty one, or one to a version that is gone or damaged.
    """
    pointer = root / POINTER
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except OSError:
        raise InputFault(
            f"there is no {kind} yet",
            where=str(pointer),
            fix="`recsys nightly` makes all that is missing",
        ) from None
    if not name or "/" in name or name.startswith(".") or not (root / name).is_dir():
        raise InputFault(
            f"the pointer names no {kind}", value=name, where=str(pointer),
            fix=f"`recsys rollback --to previous`; there is: {', '.join(versions(root)) or 'none'}",
        )  # fmt: skip
    return root / name, read(root / name, kind, check=check)


def exists(root: Path) -> bool:
    """Whether `root` has a live version (it may still turn out damaged)."""
    return (root / POINTER).exists()


def versions(root: Path) -> list[str]:
    """Names of the complete versions below `root`, sorted."""
    if not root.is_dir():
        return []
    return sorted(
        path.name
        for path in root.iterdir()
        if not path.name.startswith(".") and not path.is_symlink() and (path / MANIFEST).is_file()
    )


def point(root: Path, name: str) -> None:
    """Makes `root/name` the live version: one atomic, durable replacement of the pointer file."""
    durable.replace_text(root / POINTER, name + "\n")


def sweep(root: Path) -> None:
    """Removes what killed runs left below `root`: staging folders, and versions set aside."""
    for path in root.glob(f"{STAGING}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFault(
            "the folder is incomplete: it has no manifest", where=str(folder), fix="make it again"
        ) from None
    except (OSError, ValueError) as error:
        raise InputFault(
            f"the manifest cannot be read: {error}",
            where=str(folder / MANIFEST),
            fix="make it again",
        ) from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise InputFault(
            "the manifest is damaged", where=str(folder / MANIFEST), fix="make it again"
        )
    sealed = manifest.get("format") == 1 or manifest.get(SEAL) == seal(manifest)
    if not sealed or content_hash(manifest["files"]) != manifest.get("content"):
        raise InputFault(
            "the manifest does not match itself", where=str(folder / MANIFEST), fix="make it again"
        )
    return manifest


def _compare(path: Path, entry: Mapping[str, Any]) -> None:
    problem = None
    if not path.is_file():
        problem = "is missing"
    elif path.stat().st_size != entry["bytes"]:
        problem = f"has {path.stat().st_size} of {entry['bytes']} bytes"
    elif durable.sha256(path) != entry["sha256"]:
        problem = "was changed after it was written (sha256 differs)"
    if problem:
        raise InputFault(
            f"damaged: {path.name} {problem}", where=str(path),
            fix="restore it, make it again, or roll back to another version",
        )  # fmt: skip


def _sealed(path: Path, rows: int | None) -> dict[str, Any]:
    durable.sync_file(path)
    entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": durable.sha256(path)}
    return entry if rows is None else {**entry, "rows": rows}


def _replace(staging: Path, target: Path) -> None:
    """Renames the staged folder to `target`, in one step even where a version stands there."""
    if not target.exists():
        staging.rename(target)
        return
    _exchange(staging, target)
    shutil.rmtree(staging, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Swaps two folders by `renameat2`: at no moment is either name without a complete folder."""
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


def _free_bytes(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free

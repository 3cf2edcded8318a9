"""The dataset folder of an import: it appears whole or not at all, and its settings with it."""

import contextlib
import datetime
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recsys import durable
from recsys.data.importers.origin import Origin
from recsys.errors import InputFault, ResourceFault
from recsys.progress import track

SETTINGS = "settings.toml"
LOCK = ".lock"


@contextlib.contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into, which on a clean exit becomes `out`, durable.

    What a killed import left there is removed by the next one.

    Raises:
        InputFault: `out` is there already.
        LockFault: another import writes there.
        ResourceFault: the disk is full, or a file may not be read or written.
    """
    if out.exists() or out.is_symlink():
        raise InputFault(
            "the dataset folder exists already", value=str(out), where="OUT",
            fix="remove it or name another",
        )  # fmt: skip
    staging = out.with_name(f"{durable.TEMPORARY}{out.name}")
    try:
        with durable.exclusive(staging):
            _clear(staging)
            try:
                yield staging
                for folder in sorted({path.parent for path in staging.rglob("*")} | {staging}):
                    durable.sync_folder(folder)
                staging.rename(out)
                (out / LOCK).unlink()
                durable.sync_folder(out.parent)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
    except OSError as error:
        raise ResourceFault(
            f"the import cannot go on: {error.strerror}",
            value=str(error.filename or out), where=str(out),
            fix="free space or mend the permissions, then run the same command again",
        ) from error  # fmt: skip


def place(origin: Origin, media: Mapping[str, str], folder: Path) -> int:
    """Puts media files into the folder: as hard links where the disk allows it, else as copies.

    Returns:
        how many were copied.

    Raises:
        InputFault: a file leads out of the origin.
    """
    copied = 0
    for name, target in track(sorted(media.items()), "media", len(media)):
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        source = origin.location(name)
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)
            durable.sync_file(path)
            copied += 1
    return copied


def write_settings(
    folder: Path, out: Path, source: str, sections: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes `settings.toml`: what differs from the defaults for this data."""
    data = {"folder": str(out), **sections.get("data", {})}
    lines = [
        f"# Written by `recsys import {source}`: what differs from the defaults for this data.",
        f"work = {_toml(f'work/{out.name}')}",
    ]
    for name, values in {**sections, "data": data}.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    path = folder / SETTINGS
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    durable.sync_file(path)


def _toml(value: object) -> str:
    match value:
        case datetime.date():
            return value.isoformat()
        case dict():
            inner = ", ".join(f"{_toml(str(key))} = {_toml(part)}" for key, part in value.items())
            return f"{{ {inner} }}"
        case list() | tuple():
            return f"[{', '.join(_toml(part) for part in value)}]"
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _clear(staging: Path) -> None:
    for path in staging.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()

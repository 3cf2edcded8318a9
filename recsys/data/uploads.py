"""The producer's own manifest of a dataset folder: is each file what was sent?"""

import json
from pathlib import Path
from typing import Any

from recsys import durable
from recsys.data.raw import label
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

MANIFEST = "manifest.json"


def manifest(settings: DataSettings) -> dict[str, dict[str, Any]]:
    """`bytes` and `sha256` a file, as the dataset's `manifest.json` lists them below `files`.

    Returns:
        empty where there is no manifest: then nothing can be verified.

    Raises:
        InputFault: the manifest cannot be read.
    """
    path = Path(settings.folder) / MANIFEST
    if not path.exists():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): dict(entry) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputFault(
            f"the dataset's manifest cannot be read: {error!r}", where=str(path),
            fix='it should read {"files": {NAME: {"bytes": ..., "sha256": ...}}}; or remove it',
        ) from None  # fmt: skip


def verify(path: Path, settings: DataSettings, listed: dict[str, dict[str, Any]]) -> bool:
    """Compares a file with the manifest; False where the manifest does not speak of it.

    Raises:
        InputFault: size or sha256 differ.
    """
    file = label(path, settings)
    entry = listed.get(file)
    if entry is None:
        return False
    size = path.stat().st_size
    if size != entry.get("bytes", size):
        raise InputFault(
            "the file differs from the producer's manifest: truncated, or still being written",
            value=f"{size:,} of {entry['bytes']:,} bytes", where=file, fix="upload it again",
        )  # fmt: skip
    if "sha256" not in entry:
        return False
    if durable.sha256(path) != entry["sha256"]:
        raise InputFault(
            "the file differs from the producer's manifest: its sha256 is another", where=file,
            fix="upload it again",
        )  # fmt: skip
    return True


def check_complete(
    name: str, found: list[Path], settings: DataSettings, listed: dict[str, dict[str, Any]]
) -> None:
    """Refuses a table of which the manifest lists a part that is not there.

    Raises:
        InputFault: names the missing part.
    """
    there = {label(path, settings) for path in found}
    for file in sorted(listed):
        if (file.startswith((f"{name}/", f"{name}."))) and file not in there:
            raise InputFault(
                "a file of the producer's manifest is missing", where=file, fix="upload it"
            )

"""What earlier nights measured: the baseline of the gates.

A good release was published by a night, passed its gates, is undamaged, and was not taken back: the
live one is no older. Lists that were only filtered again are none. Called by the night.
"""

import datetime
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys import artefacts
from recsys.errors import InputFault
from recsys.progress import say
from recsys.serving import release

REFILTERED = "refiltered_from"


@dataclass(frozen=True)
class Baseline:
    """Numbers of the last good releases, empty where there are none.

    Attributes:
        names: of the releases, newest first.
        folder: of the newest; None where there is none.
        date: that the newest is for, YYYY-MM-DD.
        last: its numbers.
        median: of each number over all of them.
        manifest: of the newest; empty where there is none.
    """

    names: tuple[str, ...] = ()
    folder: Path | None = None
    date: str = ""
    last: Mapping[str, float] = field(default_factory=dict)
    median: Mapping[str, float] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def days_before(self, day: datetime.date) -> int | None:
        """Days from the newest release to a later one; None where there is none."""
        return (day - datetime.date.fromisoformat(self.date)).days if self.date else None


def find(root: Path, day: str, window: int) -> Baseline:
    """The last good releases before a day; later ones never move what an earlier day is held to.

    Args:
        root: folder of the releases.
        day: YYYY-MM-DD.
        window: how many at most.
    """
    found = []
    for folder, manifest in _good(root, day):
        found.append((folder, manifest))
        if len(found) == window:
            break
    if not found:
        return Baseline()
    series: dict[str, list[float]] = {}
    for _, manifest in found:
        for name, value in manifest.get("measures", {}).items():
            series.setdefault(name, []).append(value)
    folder, manifest = found[0]
    return Baseline(
        tuple(folder.name for folder, _ in found),
        folder,
        manifest["date"],
        manifest.get("measures", {}),
        {name: statistics.median(values) for name, values in series.items()},
        manifest,
    )


def _good(root: Path, day: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Good releases before a day, newest first; of one day, the live or else the last named."""
    live, until = _live(root)
    manifests = []
    for name in artefacts.versions(root):
        try:
            manifest = artefacts.read(root / name, release.KIND, check=False)
        except InputFault as fault:
            say(f"warning: {root / name} is no baseline: {fault.what}")
            continue
        if manifest["date"] < day and manifest["date"] <= until and REFILTERED not in manifest:
            manifests.append((manifest["date"], name == live, name, manifest))
    days = set()
    for date, _, name, manifest in sorted(manifests, key=lambda one: one[:3], reverse=True):
        if date not in days and _whole(root / name):
            days.add(date)
            yield root / name, manifest


def _live(root: Path) -> tuple[str, str]:
    """Name and date of the live release; a date after all others where there is none to be read."""
    try:
        folder, manifest = artefacts.current(root, release.KIND, check=False)
    except InputFault:
        return "", "9999"
    return folder.name, str(manifest["date"])


def _whole(folder: Path) -> bool:
    try:
        artefacts.read(folder, release.KIND)
    except InputFault as fault:
        say(f"warning: {folder} is no baseline: {fault.what}")
        return False
    return True

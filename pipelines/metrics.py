"""`metrics.prom`: the last night as Prometheus reads it, for a node exporter's textfile collector.

Written at the end of every night however it ended, whole or not at all. The names are documented in
`docs/runbook.md`; times are epoch seconds. Called by the command line's run records.
"""

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recsys import artefacts, durable
from recsys.errors import InputFault

FILE = "metrics.prom"
Sample = tuple[str, Mapping[str, str], float | None]
MEANS = {
    "recsys_night_exit_code": "exit code of the last night; 0 is done",
    "recsys_night_end_seconds": "when the last night ended",
    "recsys_night_success_seconds": "when the last night ended that published or found it done",
    "recsys_night_duration_seconds": "how long the last night took",
    "recsys_night_stage_seconds": "how long each stage of the last night took",
    "recsys_night_peak_memory_bytes": "most resident memory of the last night",
    "recsys_night_gates": "gates of the last night by verdict",
    "recsys_night_lists": "model lists of the last night, made anew or kept from an earlier run",
    "recsys_night_measure": "what the gates of the last night measured",
    "recsys_live_date_seconds": "the day that the live lists are for",
    "recsys_live_valid_seconds": "how long the live lists are valid from that day on",
    "recsys_live_users": "users with a live list",
}


def write(work: Path, record: Mapping[str, Any]) -> None:
    """Replaces `work/metrics.prom`.

    Args:
        work: the work folder.
        record: of a night that has ended, as in its run.json.

    Raises:
        OSError: the disk is full or not writable; the old file stays.
    """
    path = work / FILE
    samples = [*_of_night(record, _last_success(path)), *_of_live(work)]
    durable.replace_text(path, text(samples))


def text(samples: Iterable[Sample]) -> str:
    """Samples in the text exposition format 0.0.4, a family after the other; all are gauges."""
    families: dict[str, list[str]] = {name: [] for name in MEANS}
    for name, labels, value in samples:
        if value is not None and math.isfinite(value):
            inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            families[name].append(f"{name}{{{inside}}} {value:.15g}" if inside else
                                  f"{name} {value:.15g}")  # fmt: skip
    lines = []
    for name, rows in families.items():
        if rows:
            lines += [f"# HELP {name} {MEANS[name]}", f"# TYPE {name} gauge", *rows]
    return "\n".join([*lines, ""])


def _of_night(record: Mapping[str, Any], last_success: float | None) -> list[Sample]:
    end = datetime.datetime.fromisoformat(record["end"]).timestamp()
    memory = record.get("peak_rss_mib")
    samples: list[Sample] = [
        ("recsys_night_exit_code", {}, record.get("exit")),
        ("recsys_night_end_seconds", {}, end),
        ("recsys_night_success_seconds", {}, end if record.get("exit") == 0 else last_success),
        ("recsys_night_duration_seconds", {}, record.get("total_seconds")),
        ("recsys_night_peak_memory_bytes", {}, memory and memory * 2**20),
    ]
    by_label = {
        "recsys_night_stage_seconds": ("stage", record.get("seconds", {})),
        "recsys_night_gates": (
            "verdict", Counter(gate["verdict"] for gate in record.get("gates", ()))
        ),
        "recsys_night_lists": ("how", record.get("lists", {})),
        "recsys_night_measure": ("name", record.get("measures", {})),
    }  # fmt: skip
    for name, (label, values) in by_label.items():
        samples += [(name, {label: key}, float(values[key])) for key in sorted(values)]
    return samples


def _of_live(work: Path) -> list[Sample]:
    """The release that is live now; nothing where there is none to be read."""
    try:
        _, manifest = artefacts.current(work / "releases", "release", check=False)
    except InputFault:
        return []
    day = datetime.datetime.fromisoformat(manifest["date"]).replace(tzinfo=datetime.UTC)
    return [
        ("recsys_live_date_seconds", {}, day.timestamp()),
        ("recsys_live_valid_seconds", {}, 3600 * manifest["valid_hours"]),
        ("recsys_live_users", {}, manifest["counts"].get("users")),
    ]


def _last_success(path: Path) -> float | None:
    """When the last good night ended, by the file as it stands."""
    name = "recsys_night_success_seconds "
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(name):
                return float(line.removeprefix(name))
    except (OSError, ValueError):
        pass
    return None


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""What a search found: the table, the TOML file and the command line. Called by `tune`."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from pipelines.lessons import VALIDATION_K
from recsys import durable
from recsys.errors import InputFault

METRIC = f"validation_recall_at_{VALIDATION_K}"
Row = dict[str, Any]


def rows(given: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> list[Row]:
    """One row a trial, best first, failed ones last; `settings` are those that are not as given."""
    found = []
    for trial in trials:
        values = trial.user_attrs["settings"]
        reached = trial.intermediate_values.values()
        value = trial.value if trial.state == TrialState.COMPLETE else max(reached, default=None)
        found.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                METRIC: None if trial.state == TrialState.FAIL else value,
                "epochs": len(reached),
                "seconds": trial.user_attrs["seconds"],
                "settings": {k: v for k, v in values.items() if v != given[k]},
                "message": trial.user_attrs.get("message", ""),
            }
        )
    return sorted(found, key=lambda row: (row[METRIC] is None, -(row[METRIC] or 0), row["trial"]))


def best(table: Sequence[Row]) -> Row | None:
    """The best trial that was neither pruned nor failed; of equals the first."""
    return next((row for row in table if row["state"] == "complete"), None)


def write(path: Path, table: Sequence[Row]) -> None:
    """Writes the best trial's settings that are not as given; nothing while there is none."""
    chosen = best(table)
    if chosen is None:
        return
    lines = [
        f"# Found by `recsys tune`, trial {chosen['trial']}: {METRIC} {chosen[METRIC]:.4f}.",
        "# Only what is not as in the given settings; add it to them.",
        *(f"{key} = {json.dumps(value)}" for key, value in chosen["settings"].items()),
    ]
    durable.replace_text(path, "\n".join(lines) + "\n")


def result(path: Path, study: str, table: Sequence[Row], words: Sequence[str]) -> dict[str, Any]:
    """What the command prints.

    Args:
        path: of the TOML file.
        study: its name.
        table: from `rows`.
        words: `--config FILE` and the overrides that the search was called with.

    Raises:
        InputFault: no trial was completed.
    """
    chosen = best(table)
    if chosen is None:
        said = next((row["message"] for row in table if row["message"]), "no trial has ended yet")
        raise InputFault(
            "no trial was completed", value=f"{len(table)} trials",
            where=study, fix=f"mend what the first one said: {said}",
        )  # fmt: skip
    overrides = _overrides(chosen)
    command = shlex.join(["recsys", "train", *words, *overrides])
    same = next((row for row in table if not row["settings"]), None)
    return {
        "text": "\n".join([text(table), "", *_advice(path, chosen, same, overrides, command)]),
        "study": study,
        "best": chosen,
        "given": same,
        "trials": list(table),
        "tuned": str(path),
        "overrides": overrides,
        "command": command,
    }


def text(table: Sequence[Row]) -> str:
    """The trials as a table for people."""
    lines = [f"{'trial':>5}  recall_at_{VALIDATION_K}  epochs  seconds  state     not as given"]
    for row in table:
        reached = "-" if row[METRIC] is None else f"{row[METRIC]:.4f}"
        said = " ".join(_overrides(row)) or "(the given settings)"
        why = f"  ({row['message'].splitlines()[0]})" if row["message"] else ""
        lines.append(
            f"{row['trial']:>5}  {reached:>{10 + len(str(VALIDATION_K))}}  {row['epochs']:>6}  "
            f"{row['seconds']:>7.1f}  {row['state']:<8}  {said}{why}"
        )
    return "\n".join(lines)


def _advice(
    path: Path, chosen: Row, same: Row | None, overrides: Sequence[str], command: str
) -> list[str]:
    if not overrides:
        return ["best: the given settings; no trial did better", f"written: {path}"]
    before = same[METRIC] if same else None
    than = f", given settings {before:.4f}" if before is not None else ""
    return [
        f"best: trial {chosen['trial']}, {METRIC} {chosen[METRIC]:.4f}{than}",
        f"add these settings: {shlex.join(overrides)}",
        f"written: {path}",
        f"train with them: {command}",
    ]


def _overrides(row: Row) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in row["settings"].items()]

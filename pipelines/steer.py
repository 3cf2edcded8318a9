"""`recsys verify`, `rollback` and `status`: looking after published releases."""

import datetime
import json
from typing import Any

from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import GateFault
from recsys.serving import audit, gates, release
from recsys.serving.baseline import REFILTERED


def verify(settings: Settings) -> dict[str, Any]:
    """Checks the live release, byte by byte and row by row.

    Raises:
        InputFault: it is damaged or breaks the rules of lists.
    """
    return _said("verified", audit.verify(settings.root / "releases"))


def rollback(settings: Settings, to: str) -> dict[str, Any]:
    """Makes another release the live one, once it is verified.

    Raises:
        InputFault: there is no such release, or it is damaged.
    """
    return _said("live again", audit.rollback(settings.root / "releases", to))


def status(settings: Settings) -> dict[str, Any]:
    """The live release, its age and counts, the others, and how the last runs ended."""
    root = settings.root / "releases"
    folder, manifest = artefacts.current(root, release.KIND, check=False)
    day = datetime.date.fromisoformat(manifest["date"])
    begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    age = (datetime.datetime.now(datetime.UTC) - begin).total_seconds() / 3600
    runs = _last_runs(settings)
    expired = age > manifest["valid_hours"]
    counts = manifest["counts"]
    lines = [
        f"live: {folder.name}, for {day}, {age:,.0f} hours old"
        + (f" (EXPIRED: valid for {manifest['valid_hours']:g} hours)" if expired else ""),
        *(f"{key.replace('_', ' ')}: {value:,}" for key, value in counts.items()),
        *(
            [f"filtered again from {manifest[REFILTERED]} after a refused night"]
            if REFILTERED in manifest
            else []
        ),
        gates.summary(manifest["gates"]),
        f"releases: {', '.join(artefacts.versions(root))}",
        *(
            f"run {r['run']}: {r['command']} {r['status']} (exit {r.get('exit', '-')})"
            + (f"; {r['gates']}" if r["status"] == "refused" and r["gates"] else "")
            for r in runs
        ),
    ]
    return {
        "text": "\n".join(lines),
        "live": folder.name,
        "date": str(day),
        "age_hours": round(age, 2),
        "valid_hours": manifest["valid_hours"],
        "expired": expired,
        "counts": counts,
        "releases": artefacts.versions(root),
        "runs": runs,
    }


def require_fresh(told: dict[str, Any]) -> None:
    """For a monitor: refuses lists that have expired.

    Args:
        told: what `status` returned.

    Raises:
        GateFault: with the age of the lists.
    """
    if told["expired"]:
        raise GateFault(
            "the live lists have expired", where=told["live"],
            value=f"{told['age_hours']:,.0f} hours old, valid for {told['valid_hours']:g}",
            fix="run `recsys nightly`; docs/runbook.md says what else may be wrong",
        )  # fmt: skip


def _said(what: str, checked: dict[str, Any]) -> dict[str, Any]:
    stray = f"\nwarning: files that nobody published: {', '.join(checked['stray'])}"
    text = (
        f"{what}: {checked['release']}, {checked['files']} files, {checked['users']:,} users, "
        f"{checked['rows']:,} rows, content {checked['content']}"
    )
    return {"text": text + (stray if checked["stray"] else ""), **checked}


def _last_runs(settings: Settings, count: int = 5) -> list[dict[str, Any]]:
    """The newest run records, newest first; unreadable ones are left out."""
    found = []
    for path in sorted((settings.root / "runs").glob("*/run.json"), reverse=True)[:count]:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        run = {key: record.get(key) for key in ("run", "command", "status", "exit", "begin")}
        table = record.get("gates")
        found.append(run | {"gates": gates.summary(table) if table else ""})
    return found

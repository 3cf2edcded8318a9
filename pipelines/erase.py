"""`recsys erase`: takes a user or an item out of everything below the work folder, and checks that.

First the id goes on the list that ingest reads, so that it cannot come back; then every artefact
that holds it is published anew under its name without it, and loose files are replaced, each in one
step. Killed at any moment, the same command goes on where it stopped.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from pipelines import erase_files, erase_search, erase_versions, indexes
from pipelines.erase_search import Found
from pipelines.erase_texts import Target
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts, durable
from recsys.data import buckets, catalogue, erasure
from recsys.data.erasure import Kind
from recsys.errors import InputFault
from recsys.features import store
from recsys.serving import release
from recsys.training import checkpoints

# Keys of embeddings are told by the catalogue, events of an item must go before the item does.
ORDER = (store.KIND, release.KIND, "evaluation", "model", "", buckets.KIND, catalogue.KIND)
LEARNED = (
    "weights that were learned from these rows (no row of them is kept): `recsys train` learns anew"
)


def run(settings: Settings, run: Run, kind: Kind, identifier: str, dry_run: bool) -> dict[str, Any]:
    """Erases an id everywhere below the work folder, and searches it there again.

    Args:
        settings: all of them.
        run: the record of this run; it learns counts, never the id.
        kind: whether it is a user's or an item's.
        identifier: as the files of the dataset have it.
        dry_run: only say where it stands.

    Raises:
        InputFault: nobody knows such an id; or a damaged file could not be searched or rewritten,
            while everything else is done.
        UsageFault: the settings name the item themselves.
    """
    work = settings.root
    target = erase_search.target(settings, kind, identifier)
    before = erasure.read(work).holds(kind, identifier)
    found = erase_search.everywhere(settings, target)
    rows = erase_search.dataset(settings, target)
    if not (before or found.hits or found.unread or rows):
        raise InputFault(
            f"no {kind} of this id is known here",
            where=f"{work} and {settings.data.given}",
            fix="compare it with the dataset's files; --item is for items",
        )
    told = _told(settings, target, found, rows, before)
    run.facts["erased"] = {"kind": kind, "files": len(found.hits), "before": before}
    if dry_run:
        return told | {"text": "\n".join(["nothing was changed; the id stands in", *told["text"]])}
    with run.timed("erase"):
        erasure.remember(work, kind, identifier)
        erase_search.sweep(settings)
        for row in rows if settings.data.address else ():  # copies of ours; the objects are not
            Path(row["file"]).unlink(missing_ok=True)
        told["cut"] = _everything(settings, target, found)
    _require_gone(erase_search.everywhere(settings, target))
    cut = [f"  {path}: example lists taken out" for path in told["cut"]]
    after = _after(target, settings.data.address)
    return told | {"text": "\n".join([f"{kind} erased", *told["text"], *cut, *after])}


def check(settings: Settings, kind: Kind, identifier: str) -> dict[str, Any]:
    """Searches every file below the work folder for an id.

    Raises:
        InputFault: it stands somewhere (the files are named), also in the mirror of objects; or a
            file cannot be searched.
    """
    target = erase_search.target(settings, kind, identifier)
    listed = erasure.read(settings.root).holds(kind, identifier)
    _require_gone(erase_search.everywhere(settings, target))
    rows = erase_search.dataset(settings, target)
    if rows and settings.data.address:
        raise InputFault(
            f"copies of {len(rows)} objects hold the id, or cannot be read",
            where="; ".join(row["object"] for row in rows),
            fix="delete its rows from the objects, older versions too, then run the night again; "
            "`recsys erase` removes the copies until then",
        )
    text = [
        f"no file below {settings.root} holds the id",
        "ingest drops it" if listed else "warning: it was never erased, and ingest takes it in",
        *(_raw_line(row) for row in rows),
        *_unsure(target),
    ]
    return {"text": "\n".join(text), "left": 0, "erased": listed, "dataset": rows}


def _everything(settings: Settings, target: Target, found: Found) -> list[str]:
    """Rewrites what holds the id; returns the reports that lost their examples besides."""
    kinds = {folder: erase_versions.kind_of(folder) for folder in found.versions}
    if {buckets.KIND, catalogue.KIND} & set(kinds.values()):
        # they belong to the log as it was: no run could go on from them
        checkpoints.clear(settings.root / "checkpoints")
    if target.kind == "item":
        indexes.clear(settings)  # its vector cannot be taken out of them
    cut = _cut_reports(settings, target, found)
    place = {kind: number for number, kind in enumerate(ORDER)}
    damaged = []
    for folder in sorted(kinds, key=lambda path: (place.get(kinds[path], place[""]), path)):
        if not folder.is_dir():  # a checkpoint that is gone
            continue
        try:
            erase_versions.rewrite(folder, target)
        except InputFault as fault:
            damaged.append(f"{folder}: {fault.what}")
    for path in found.loose:
        if path.exists():
            erase_files.replace(path, target)
    if damaged:
        raise InputFault(
            f"{len(damaged)} artefacts are damaged and still hold the id; the others do not",
            where="; ".join(damaged), fix="remove these folders, then run the same command again",
        )  # fmt: skip
    return cut


def _cut_reports(settings: Settings, target: Target, found: Found) -> list[str]:
    """Takes the examples out of reports that may show the id without naming it.

    Those are the reports of refused nights, whose lists are not kept; and, of an item, all reports,
    for its title may stand in somebody's history.
    """
    done = []
    for path in erase_search.reports(settings):
        page = path.read_text(encoding="utf-8", errors="replace")
        cut = erase_versions.cut_examples(page)
        published = (path.parent / artefacts.MANIFEST).is_file()
        if cut == page or path.parent in found.versions or (published and target.kind == "user"):
            continue
        if published:
            erase_versions.rewrite(path.parent, target)
        else:
            durable.replace_text(path, cut)
        done.append(str(path))
    return done


def _require_gone(found: Found) -> None:
    left = [f"{path} ({count:,})" for path, count in found.hits.items()] + found.unread
    if left:
        raise InputFault(
            f"{len(found.hits)} files still hold the id, {len(found.unread)} cannot be searched",
            where="; ".join(left[:20]), fix="run `recsys erase` with the id (again)",
        )  # fmt: skip


def _told(
    settings: Settings, target: Target, found: Found, rows: list[dict[str, Any]], before: bool
) -> dict[str, Any]:
    touched = Counter({str(folder): sum(found.of(folder).values()) for folder in found.versions})
    touched.update({str(path): found.hits[path] for path in found.loose})
    lines = [f"  {where}: {count:,} place{'s'[: count > 1]}" for where, count in touched.items()]
    if not touched:
        lines.append(f"  no file below {settings.root}" + (" any more" if before else ""))
    return {
        "text": [*lines, *(_raw_line(row) for row in rows), *_unsure(target)],
        "kind": target.kind,
        "erased_before": before,
        "touched": dict(touched),
        "files": {str(path): count for path, count in found.hits.items()},
        "dataset": rows,
        "not_undone": LEARNED,
    }


def _raw_line(row: dict[str, Any]) -> str:
    where = row.get("object", row["file"])
    if row["rows"] is None:
        return f"  could not be read, look yourself: {where}"
    return f"  still in {where}: {row['rows']:,} rows (yours to delete; ingest drops them)"


def _unsure(target: Target) -> list[str]:
    if target.telling:
        return []
    return ["  the id is a plain word or number: in texts it was looked for only where ids stand"]


def _after(target: Target, address: str) -> list[str]:
    media = [
        "  indexes of before are removed, for they hold its vector; the next night makes its own",
        "  its pictures, clips and sounds in the dataset folder are yours to delete, too",
    ]
    stored = [
        f"  objects at {address} are yours: delete the rows there, in their older versions, too;",
        "  copies here that held any are removed, what came since the last night was not searched;",
        "  a night copies what is there then, drops the rows, and names the objects that hold any",
    ]
    return [
        *(media if target.kind == "item" else []),
        *(stored if address else []),
        f"searched again: no file holds it; ingest drops this {target.kind} from now on",
        f"not undone: {LEARNED}",
    ]

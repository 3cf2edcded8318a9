"""After a refused night: the live lists once more, without what has become unavailable since."""

import hashlib
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.night import Night
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import InputFault
from recsys.progress import say
from recsys.serving import release, report, stored_lists
from recsys.serving.baseline import REFILTERED


def run(settings: Settings, run: Run, night: Night) -> str:
    """Publishes the last whole lists without items that may not be listed now, and goes live.

    It is a release of its own with the date of the lists that it was made from, so that these
    still expire. Nothing is published where nothing fell out, where there is no release yet, or
    where more rows would fall out than `gates.refilter_at_most`: such a catalogue is not believed.

    Args:
        settings: all of them.
        run: the record of the refused night, with its gate table.
        night: whose catalogue says what may be listed.

    Returns:
        The name of the new release; empty for none.
    """
    root = settings.root / "releases"
    try:
        live, _ = artefacts.current(root, release.KIND)
        folder, manifest = _origin(live)
    except InputFault as fault:
        say(f"warning: nothing was filtered again: {fault.what}")
        return ""
    ids = night.found.vocabulary.ids
    allowed = pl.Series([ids[row] for row in night.recommender.index.rows], dtype=pl.String)
    before = stored_lists.opened(folder)
    listed = before.listed.filter(pl.col("item_id").is_in(allowed.implode()))
    rows = int(listed["times"].sum())
    lost = 1 - rows / max(1, before.rows)
    if not 0 < lost <= settings.gates.refilter_at_most:
        kept = "nothing became unavailable" if not lost else f"{lost:.1%} of the rows would go"
        say(f"{live.name} stays as it is: {kept}")
        return ""
    digest = hashlib.sha256("\n".join([manifest["content"], *allowed]).encode()).hexdigest()
    name = f"{manifest['date']}-refiltered-{digest[:16]}"
    if live.name == name:
        say(f"{name} is live already")
        return name
    parents = {REFILTERED: folder.name, "catalogue": night.found.catalogue.name}
    with artefacts.publishing(root, name, release.KIND, parents=parents) as staged:
        near = without(release.read_similar(folder), allowed, "item_id", "similar_item_id")
        popular = without(release.read_popular(folder), allowed, "category")
        integer_ids = manifest["integer_ids"]
        lists = (without(part, allowed, "user_id") for part in before.each())
        release.write_lists(staged, lists, integer_ids)
        release.write_similar(staged, [near], integer_ids)
        release.write_popular(staged, popular, integer_ids)
        counts = {
            "users": len(stored_lists.opened(staged.folder)),
            "rows": rows,
            "rows_filtered": before.rows - rows,
            "items_listed": listed["item_id"].n_unique(),
        }
        page = {
            "day": manifest["date"],
            "release": name,
            "counts": counts,
            "notice": f"The night of {night.plan.day} was refused. These are the lists of "
            f"{folder.name} without {counts['rows_filtered']:,} places of items that may no longer "
            "be listed.",
            "gates": [row for row in run.facts["gates"] if row["name"] != "list_seconds"],
        }
        (staged.folder / "report.html").write_text(report.render(page), encoding="utf-8")
        staged.facts |= {
            key: manifest[key] for key in ("date", "valid_hours", "integer_ids", "settings")
        }
        staged.facts |= {
            REFILTERED: folder.name,
            "counts": counts,
            "gates": run.facts["gates"],
            "run": run.name,
        }
    say(f"the lists of {folder.name} were published again as {name}, {lost:.2%} of the rows fewer")
    return name


def without(
    table: pl.DataFrame, allowed: pl.Series, owner: str, item: str = "item_id"
) -> pl.DataFrame:
    """Rows whose item is allowed, ranks closed up, in the order of the table.

    Args:
        table: with columns `owner`, rank and `item`.
        allowed: item ids.
        owner: column that a list belongs to; nulls are an owner of their own.
        item: column of the listed item.
    """
    kept = table.filter(pl.col(item).is_in(allowed.implode()))
    rank = pl.col("rank").rank("ordinal").over(owner).cast(table.schema["rank"])
    return kept.with_columns(rank=rank)


def _origin(live: Path) -> tuple[Path, dict[str, Any]]:
    """The release that `live` was filtered from, if it was and that is still there; else itself."""
    manifest = artefacts.read(live, release.KIND)
    origin = live.parent / manifest.get(REFILTERED, live.name)
    if origin == live or not origin.is_dir():
        return live, manifest
    return origin, artefacts.read(origin, release.KIND)

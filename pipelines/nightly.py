"""`recsys nightly`: the whole night for a date, from new events to a published, audited release."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pipelines import basis, indexes, night_counts, night_lists, night_measures, refilter, story
from pipelines.night import Night, Plan, index_facts, planned, prepared
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import GateFault, InputFault
from recsys.progress import say
from recsys.serving import (
    audit,
    baseline,
    fallback,
    gates,
    night_history,
    release,
    report,
    report_figures,
    stored_lists,
)
from recsys.serving.baseline import Baseline
from recsys.serving.gates import Gate
from recsys.serving.stored_lists import StoredLists


def run(
    settings: Settings, run: Run, date: str, dry_run: bool, anew: bool = False
) -> dict[str, Any]:
    """Ingests, encodes, trains and evaluates where that is missing, makes, audits, publishes lists.

    The same date and inputs give the same release; one that is already published and undamaged is
    only made the live one again. What an earlier run of the day has made and still holds is kept.

    Args:
        settings: all of them.
        run: the record of this run.
        date: the day that lists are for, YYYY-MM-DD; empty for the day after the newest event.
        dry_run: stop before publishing.
        anew: make every list, also what is there already; the result is the same.

    Raises:
        GateFault: a gate refused; the old release stays, or its lists without what has become
            unavailable where `gates.refilter` asks for it.
    """
    plan = planned(settings, run, date)
    root = settings.root / "releases"
    if not dry_run and not anew and _published(root, plan.name):
        artefacts.point(root, plan.name)
        return _told(plan, root, "already published, the pointer names it")
    night = prepared(settings, run, plan)
    if dry_run:
        with tempfile.TemporaryDirectory(dir=settings.root) as aside:
            return _publish(settings, run, night, anew, Path(aside))
    try:
        result = _publish(settings, run, night, anew, root)
    except GateFault:
        if settings.gates.refilter:
            run.facts["refiltered"] = refilter.run(settings, run, night)
        raise
    _prune(root, settings.nightly.keep)
    basis.prune(settings)
    indexes.prune(settings)
    run.tell_speeds(len(night.past))
    return result


def _publish(settings: Settings, run: Run, night: Night, anew: bool, root: Path) -> dict[str, Any]:
    plan = night.plan
    before = baseline.find(settings.root / "releases", str(plan.day), settings.gates.window)
    parents = plan.parents | ({"baseline": before.names[0]} if before.names else {})
    publishing = artefacts.publishing(root, plan.name, release.KIND, parents=parents)
    with contextlib.ExitStack() as timed, publishing as staged:
        with run.timed("lists"):
            _write(settings, run, night, anew, staged)
        timed.enter_context(run.timed("publish"))  # until all is durable
        lists = stored_lists.opened(staged.folder)
        measures, table = _judged(settings, run, night, lists, before)
        counts = night_counts.of_lists(
            lists, night.found, plan.model.trained, night.recommender, plan.at_seconds
        )
        page = story.of_night(settings, night, lists)
        page |= {"day": str(plan.day), "release": plan.name, "counts": counts}
        # the same inputs give the same page, so what differs by the clock stays in the manifest
        shown = gates.rows([gate for gate in table if gate.name != "list_seconds"])
        tonight = night_history.row(str(plan.day), counts, measures, shown)
        history = night_history.with_tonight(before.manifest, tonight)
        html = report.render(page | {"gates": shown, "history": history})
        (staged.folder / "report.html").write_text(html, encoding="utf-8")
        _require(run.folder(settings.root), staged.folder, table)
        staged.facts |= {
            "date": str(plan.day),
            "valid_hours": settings.nightly.valid_hours,
            "integer_ids": night.found.integer_ids,
            "counts": counts,
            "index": index_facts(night.recommender),
            "gates": gates.rows(table),
            "history": history,
            "lists_key": night_lists.key(settings, night),
            "measures": measures,
            "settings": settings.model_dump(mode="json", exclude={"work", "engine", "tracking"}),
            "timings": run.facts.get("seconds", {}),
            "run": run.name,
        }
    return _told(plan, root, "published")


def _write(
    settings: Settings, run: Run, night: Night, anew: bool, staged: artefacts.Staged
) -> None:
    """Lists, similar items and the popular list into the staged folder.

    What an earlier run made of the day's lists and still holds is kept.
    """
    key = night_lists.key(settings, night)
    before = None if anew else night_lists.earlier(settings, str(night.plan.day), key)
    run.facts["lists"] = counts = night_lists.write(settings, night, before, staged)
    if before is not None:
        kept, made = counts["kept"], counts["made"]
        say(f"{kept:,} lists are those of {before.release.name}, {made:,} were made")
    ids, k = night.found.vocabulary.ids, settings.nightly.k
    popular = fallback.table(night.recommender, ids, night.found.items["category"], k)
    release.write_popular(staged, popular, night.found.integer_ids)


def _judged(
    settings: Settings, run: Run, night: Night, lists: StoredLists, before: Baseline
) -> tuple[dict[str, float], list[Gate]]:
    """The night's numbers and its gate table, kept in the run's record too."""
    seconds = run.facts.get("seconds", {}).get("lists", 0.0)
    measures = night_measures.of_night(settings, night, lists, before, seconds)
    table = gates.judge(settings.gates, measures, before)
    run.facts |= {"gates": gates.rows(table), "measures": measures, "baseline": before.names}
    for gate in table:
        if gate.verdict == "warn":
            say(f"warning: gate {gate.told()}")
    return measures, table


def _require(record: Path, staged: Path, table: list[Gate]) -> None:
    """Refuses a night that failed, and keeps its report beside the run's record."""
    kept = record / "report.html"
    if any(gate.verdict == "fail" for gate in table):
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(staged / "report.html", kept)
    gates.require(table, str(kept))


def _published(root: Path, name: str) -> bool:
    """Whether that release is there and undamaged."""
    if name not in artefacts.versions(root):
        return False
    try:
        audit.verify(root, name)
    except InputFault as fault:
        say(f"{root / name} is made again: {fault.what}")
        return False
    return True


def _prune(root: Path, keep: int) -> None:
    """Removes the oldest releases beyond `keep`, never the live one."""
    live = artefacts.current(root, release.KIND, check=False)[0].name
    for name in artefacts.versions(root)[:-keep]:
        if name != live:
            shutil.rmtree(root / name)


def _told(plan: Plan, root: Path, what: str) -> dict[str, Any]:
    folder = root / plan.name
    manifest = artefacts.read(folder, release.KIND, check=False)
    counts = manifest["counts"]
    lines = [f"{key.replace('_', ' ')}: {value:,}" for key, value in counts.items()]
    index = manifest.get("index", {})
    lines.append(
        f"index: {index.get('kind', 'exact')}, {index.get('recall', 1.0):.2%} of exact search"
    )
    lines += [*report_figures.told(plan.evaluation), gates.summary(manifest["gates"])]
    lines += [f"report: {folder / 'report.html'}"]
    return {
        "text": "\n".join([f"{what}: {folder}", *lines]),
        "release": str(folder),
        "content": manifest["content"],
        "counts": counts,
        "gates": manifest["gates"],
    }

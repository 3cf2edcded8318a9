"""`recsys nightly`: the whole night for a date, from new events to a published, audited release."""

import datetime
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines import catch_up, encode, evaluate, ingest, inputs, night_counts, story, train
from pipelines.ablation import Ablation
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from pipelines.train import Model
from recsys import artefacts
from recsys.data import buckets
from recsys.engine import map_buckets
from recsys.errors import InputFault
from recsys.progress import say
from recsys.serving import fallback, gates, recommend, release, report, similar
from recsys.serving.recommend import Recommender
from recsys.settings import fingerprint


@dataclass(frozen=True)
class Plan:
    """What fixes a night before anything of it is computed: its inputs, its moment, its name."""

    day: datetime.date
    at_seconds: int
    found: Inputs
    model: Model
    evaluation: dict[str, Any]
    name: str
    parents: dict[str, str]


@dataclass(frozen=True)
class Night:
    """Everything that the lists of a night are made from; the model has caught up with the day."""

    plan: Plan
    model: Model
    recommender: Recommender
    past: pl.DataFrame
    people: pl.Series

    @property
    def found(self) -> Inputs:
        """Catalogue and log."""
        return self.plan.found


def run(settings: Settings, run: Run, date: str, dry_run: bool) -> dict[str, Any]:
    """Ingests, encodes, trains and evaluates where that is missing, makes, audits, publishes lists.

    The same date and inputs give the same release; one that is already published and undamaged is
    only made the live one again.

    Args:
        settings: all of them.
        run: the record of this run.
        date: the day that lists are for, YYYY-MM-DD; empty for the day after the newest event.
        dry_run: stop before publishing.

    Raises:
        GateFault: a gate refused; the old release stays.
    """
    plan = _planned(settings, run, date)
    root = settings.root / "releases"
    if not dry_run and _published(root, plan.name):
        artefacts.point(root, plan.name)
        return _told(root / plan.name, "already published, the pointer names it")
    night = _prepared(settings, run, plan)
    with run.timed("lists"):
        lists = _lists(settings, night)
    with run.timed("publish"):
        if dry_run:
            with tempfile.TemporaryDirectory(dir=settings.root) as aside:
                return _publish(settings, run, night, lists, Path(aside))
        result = _publish(settings, run, night, lists, root)
        _prune(root, settings.nightly.keep)
        return result


def _planned(settings: Settings, run: Run, date: str) -> Plan:
    ingest.run(settings, run)
    found = inputs.load(settings)
    with run.timed("encode"):
        run.facts["encode"] = encode.fill(settings, found)
    if not artefacts.exists(settings.root / train.ROOT):
        say("there is no model yet: training one")
        train.run(settings, run)
    model = train.load(settings)
    table = evaluate.latest(settings, model)
    if table is None:
        evaluate.run(settings, run, Ablation())
        table = evaluate.latest(settings, model)
    day, at_seconds = inputs.moment(date, found.newest_seconds())
    parents = {
        "catalogue": found.catalogue.name,
        "interactions": found.interactions.name,
        "model": f"{model.folder.name} {model.content}",
        "features": encode.content(settings),
    }
    digest = hashlib.sha256(f"{day} {sorted(parents.items())}".encode())
    for part in (settings.lists, settings.nightly, settings.train):
        digest.update(fingerprint(part).encode())
    name = f"{day}-{digest.hexdigest()[:16]}"
    return Plan(day, at_seconds, found, model, table or {}, name, parents)


def _prepared(settings: Settings, run: Run, plan: Plan) -> Night:
    found, at_seconds = plan.found, plan.at_seconds
    with run.timed("catch_up"):
        model = catch_up.caught_up(settings, found, plan.model, at_seconds)
    with run.timed("vectors"):
        past = found.before(at_seconds)
        shop = found.shop(past, at_seconds, today=True, blocked=settings.nightly.blocked)
        features = encode.item_features(settings, found, model.trained, model.attributes)
        recommender = recommend.prepare(
            model.towers, features, shop, at_seconds, settings.lists, model.reranker
        )
    return Night(plan, model, recommender, past, found.people(past))


def _lists(settings: Settings, night: Night) -> pl.DataFrame:
    """Lists of all users, bucket by bucket, sorted by user and rank."""
    names, ids = night.recommender.names, night.found.vocabulary.ids
    frames = buckets.split(night.past, settings.data.buckets)

    def of_bucket(bucket: int) -> pl.DataFrame:
        histories = night.found.histories(settings, frames[bucket])
        ranked = night.recommender.lists(histories, settings.nightly.k)
        known = np.diff(histories.offsets) > 0
        rows = np.where(known[:, None], ranked.rows, -1)
        ranked = type(ranked)(rows, ranked.scores, ranked.terms)
        return release.list_frame(histories.user_ids, ranked, names, ids)

    made = pl.concat(map_buckets(of_bucket, range(len(frames)), settings.engine))
    known = night.past["user_id"].unique()
    cold = night.people.filter(~night.people.is_in(known.implode()))
    rows = fallback.rows(night.recommender, settings.nightly.k)
    weighted = fallback.weighted_terms(night.recommender, rows)
    popular = release.popular_frame(cold.to_list(), rows, weighted, names, ids)
    return pl.concat([made, popular]).sort("user_id", "rank")


def _publish(
    settings: Settings, run: Run, night: Night, lists: pl.DataFrame, root: Path
) -> dict[str, Any]:
    plan, whole = night.plan, night.found.integer_ids
    with artefacts.publishing(root, plan.name, release.KIND, parents=plan.parents) as staged:
        folder = staged.folder
        tables = {"lists": lists, "similar": _similar(settings, night)}
        for name, frame in tables.items():
            staged.rows |= release.write_parts(release.outside_ids(frame, whole), folder / name)
        popular = release.outside_ids(_popular(settings, night), whole)
        popular.write_parquet(folder / "popular.parquet", **release.PARQUET)
        staged.rows["popular.parquet"] = len(popular)
        table = _audited(settings, night, folder)
        counts = night_counts.of_lists(
            lists, night.found, plan.model.trained, night.recommender, plan.at_seconds
        )
        page = story.of_night(settings, night.found, night.model, plan.evaluation, lists)
        page |= {"day": str(plan.day), "release": plan.name, "counts": counts}
        html = report.render(page | {"gates": gates.rows(table)})
        (folder / "report.html").write_text(html, encoding="utf-8")
        gates.require(table)
        staged.facts |= {
            "date": str(plan.day),
            "valid_hours": settings.nightly.valid_hours,
            "integer_ids": whole,
            "counts": counts,
            "gates": gates.rows(table),
            "settings": settings.model_dump(mode="json", exclude={"work", "engine", "tracking"}),
            "timings": run.facts.get("seconds", {}),
            "run": run.name,
        }
    return _told(root / plan.name, "published")


def _similar(settings: Settings, night: Night) -> pl.DataFrame:
    return similar.frame(night.recommender, night.found.vocabulary.ids, settings.nightly.similar)


def _popular(settings: Settings, night: Night) -> pl.DataFrame:
    ids, categories = night.found.vocabulary.ids, night.found.items["category"]
    return fallback.table(night.recommender, ids, categories, settings.nightly.k)


def _audited(settings: Settings, night: Night, folder: Path) -> list[gates.Gate]:
    ids = night.found.vocabulary.ids
    eligible = pl.Series([ids[row] for row in night.recommender.index.rows], dtype=pl.String)
    seen = None
    if not settings.lists.candidates.repeats:
        seen = night.past.select("user_id", "item_id").unique()
    return gates.audit(folder, night.people, eligible, seen, settings.nightly.k)


def _published(root: Path, name: str) -> bool:
    """Whether that release is there and undamaged."""
    if name not in artefacts.versions(root):
        return False
    try:
        release.verify(root, name)
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


def _told(folder: Path, what: str) -> dict[str, Any]:
    manifest = artefacts.read(folder, release.KIND, check=False)
    counts = manifest["counts"]
    lines = [f"{key.replace('_', ' ')}: {value:,}" for key, value in counts.items()]
    text = [f"{what}: {folder}", *lines, f"report: {folder / 'report.html'}"]
    return {
        "text": "\n".join(text),
        "release": str(folder),
        "content": manifest["content"],
        "counts": counts,
        "gates": manifest["gates"],
    }

"""A night before its lists: what fixes it, and what the lists are made from."""

import datetime
import hashlib
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines import (
    basis,
    encode,
    evaluate,
    indexes,
    ingest,
    input_gates,
    inputs,
    stand_ins,
    train,
    trained,
)
from pipelines.ablation import Ablation
from pipelines.basis import Basis
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys import artefacts, durable
from recsys.data import histories
from recsys.data.histories import Histories
from recsys.errors import UsageFault
from recsys.models.item_features import ItemFeatures
from recsys.progress import say
from recsys.serving import gates, recommend
from recsys.serving.indexing import Indexing
from recsys.serving.recommend import Recommender
from recsys.settings import fingerprint

SAMPLE = 500  # users that an approximate index is measured on


@dataclass(frozen=True)
class Plan:
    """What fixes a night before anything of it is computed: its inputs, its moment, its name."""

    day: datetime.date
    at_seconds: int
    found: Inputs
    model: Model
    evaluation: dict[str, Any]
    basis: Basis
    name: str
    parents: dict[str, str]


@dataclass(frozen=True)
class Night:
    """Everything that the lists of a night are made from; the model has caught up with the day."""

    plan: Plan
    model: Model
    recommender: Recommender
    past: Histories
    people: pl.Series
    features: ItemFeatures

    @property
    def found(self) -> Inputs:
        """Catalogue and log."""
        return self.plan.found


def planned(settings: Settings, run: Run, date: str) -> Plan:
    """Ingests and encodes, trains and evaluates where that is missing, and names the release.

    Args:
        settings: all of them.
        run: the record of this run.
        date: the day that lists are for, YYYY-MM-DD; empty for the day after the newest event.

    Raises:
        GateFault: there is no model yet, and gates refuse what it would learn from.
    """
    if date:
        inputs.named_day(date)  # a slip of the pen is not told after minutes
    ingest.run(settings, run)
    found = inputs.load(settings)
    with run.timed("encode"):
        run.facts["encode"] = encode.fill(settings, found)
    day, at_seconds = _moment(settings, found, date)
    _learn(settings, run, found, day, at_seconds)
    model = train.load(settings)
    table = evaluate.latest(settings, model)
    if table is None:
        evaluate.run(settings, run, Ablation())
        table = evaluate.latest(settings, model)
    standing = basis.of_day(settings, found, model, str(day), at_seconds)
    parents = {
        "basis": str(standing),
        "catalogue": found.catalogue.name,
        "interactions": found.interactions.name,
        "model": f"{model.folder.name} {model.content}",
        "features": stand_ins.content(settings),
    }
    digest = hashlib.sha256(f"{day} {sorted(parents.items())}".encode())
    for part in (settings.lists, settings.nightly, settings.train, settings.gates):
        digest.update(fingerprint(part).encode())
    name = f"{day}-{digest.hexdigest()[:16]}"
    return Plan(day, at_seconds, found, model, table or {}, standing, name, parents)


def _moment(settings: Settings, found: Inputs, date: str) -> tuple[datetime.date, int]:
    """The day, and its beginning in epoch seconds."""
    day, at_seconds = inputs.moment(date or str(found.next_day()), found.newest_seconds())
    if date and not settings.nightly.allow_future:
        inputs.refuse_future(day, datetime.datetime.now(datetime.UTC))
    if at_seconds <= found.events.times.min():
        raise UsageFault(
            "the day lies before the log", value=date, where="--date", fix="name a later day"
        )
    return day, at_seconds


def _learn(
    settings: Settings, run: Run, found: Inputs, day: datetime.date, at_seconds: int
) -> None:
    """Trains where there is no model, or a new one is due; never on input that a gate refuses.

    Without a training the night goes on: its own gates refuse it, with a report.
    """
    exists = artefacts.exists(settings.root / trained.ROOT)
    if exists and not train.due(settings, found):
        return
    refused = input_gates.refused(settings, run, found, day, at_seconds)
    if not exists:
        gates.require(refused, str(run.folder(settings.root) / "run.json"))
        say("there is no model yet: training one")
    elif refused:
        names = ", ".join(gate.name for gate in refused)
        say(f"warning: a training is due, but not on what gates refuse: {names}")
        return
    else:
        say(f"{settings.nightly.retrain_every_days} days of events are new: training a model")
    train.run(settings, run)


def prepared(settings: Settings, run: Run, plan: Plan, publish: bool = True) -> Night:
    """Brings the model up to the day; item vectors, index and score terms for its moment.

    Args:
        settings: all of them.
        run: a record for the timings.
        plan: of the night.
        publish: whether its index is kept: with the work folder's lock.
    """
    found, at_seconds = plan.found, plan.at_seconds
    with run.timed("catch_up"):
        model, terms = basis.load(settings, found, plan.model, plan.basis)
    with run.timed("vectors"):
        past = found.before(at_seconds)
        shop = found.shop(
            past, at_seconds, today=True, blocked=settings.nightly.blocked,
            segments=settings.lists.newcomers,
        )  # fmt: skip
        features = stand_ins.item_features(settings, found, model.trained, model.attributes)
        recommender = recommend.prepare(
            model.towers, features, shop, at_seconds, settings.lists, model.reranker, terms,
            Indexing(
                _sample(settings, past), settings.root,
                indexes.keeper(settings, str(plan.day), publish),
            ),
        )  # fmt: skip
        run.facts["index"] = index_facts(recommender)
    return Night(plan, model, recommender, past, found.people(past), features)


def again(settings: Settings, run: Run, found: Inputs, date: str) -> Night:
    """What the lists of a published release were made from, for looking into them.

    Called without the work folder's lock; takes it where the night's basis must be made anew.

    Args:
        settings: all of them.
        run: a record for the timings.
        found: catalogue and log as they are now.
        date: of the release, YYYY-MM-DD.

    Raises:
        LockFault: the basis is gone, and another run may be making it.
    """
    day, at_seconds = inputs.moment(date, found.newest_seconds())
    model = train.load(settings)
    standing = basis.of_day(settings, found, model, str(day), at_seconds)
    plan = Plan(day, at_seconds, found, model, {}, standing, "", {})
    if not basis.kept(standing):
        with durable.exclusive(settings.root):
            basis.load(settings, found, model, standing)
    return prepared(settings, run, plan, publish=False)


def index_facts(recommender: Recommender) -> dict[str, Any]:
    """Which index answers, how it is set, and the share of exact search's candidates it finds."""
    chosen = recommender.index.settings
    shown = {"ivf": {"lists", "probes"}, "ivf_pq": {"lists", "probes", "refine"}, "pq": {"refine"}}
    shown["hnsw"] = {"neighbours", "build_effort", "search_effort"}
    facts = chosen.model_dump(include={"kind", *shown.get(chosen.kind, ())})
    return facts | {"items": len(recommender.index), "recall": round(recommender.index_recall, 5)}


def _sample(settings: Settings, past: Histories) -> Histories | None:
    """Users that an index is tuned on, spread over all; None where search is exact anyway."""
    if settings.lists.index.kind == "exact":
        return None
    return histories.select(past, past.user_ids[:: max(1, len(past) // SAMPLE)])

"""`recsys evaluate`: recall_at_k and more on the test window, beside baselines, with intervals."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines import ablation as ablations
from pipelines import (
    answers,
    encode,
    inputs,
    questions,
    staleness,
    stand_ins,
    systems,
    trade_off,
    train,
)
from pipelines.ablation import Ablation
from pipelines.answers import System
from pipelines.inputs import Inputs
from pipelines.questions import Question
from pipelines.runs import Run
from pipelines.settings import Settings
from pipelines.systems import LISTS
from pipelines.trained import Model
from recsys import artefacts, durable, tracking
from recsys.data import histories, splits
from recsys.evaluation import segments
from recsys.evaluation.evaluate import Judgement, Segments, Shop, compare, judge
from recsys.evaluation.table import EvaluationTable
from recsys.models.item_features import ItemFeatures
from recsys.progress import track
from recsys.serving.recommend import Recommender
from recsys.settings import fingerprint

KIND = "evaluation"
SHELVES = ("item_new", "item_long_tail")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Extras:
    """What is measured only when it is asked for.

    Attributes:
        shelves: lists of only new, or only long-tail items; also where modalities are hidden.
        stale: what lists are worth as they get older.
        trade_off: what variety costs, on the validation window.
    """

    shelves: bool = False
    stale: bool = False
    trade_off: bool = False


@dataclass(frozen=True)
class Measured:
    """What an evaluation found.

    Attributes:
        folder: of the artefact.
        table: of the test window.
        facts: about the window and the model.
        extras: tables by their name in table.json.
        texts: these tables for a terminal.
    """

    folder: Path
    table: EvaluationTable
    facts: dict[str, Any]
    extras: dict[str, Any]
    texts: tuple[str, ...]


def run(
    settings: Settings, run: Run, ablation: Ablation, extras: Extras = Extras()
) -> dict[str, Any]:
    """Judges the live model on the test window; publishes and prints the table.

    Args:
        settings: all of them.
        run: the record of this run.
        ablation: modalities to hide or to train without.
        extras: what else to measure.

    Raises:
        InputFault: there is no model yet, or it is damaged.
        UsageFault: no such modality; the test window is empty; `stale` without a split in time.
    """
    found = inputs.load(settings)
    model = train.load(settings)
    with run.timed("evaluate"), tracking.run(settings.tracking, settings.root, run.name) as tracker:
        seen = measure(settings, found, model, ablation, extras)
        table = seen.table
        tracker.metrics(
            {metric: table.mean(LISTS, metric) for metric in table.metrics if "/" not in metric}
        )
        tracker.artefact(seen.folder / "table.json")
    parts = [as_text(table, seen.facts, settings), *seen.texts, f"evaluation: {seen.folder}"]
    return {
        "text": "\n".join(parts),
        "evaluation": str(seen.folder),
        "facts": seen.facts,
        **table.to_dict(),
        **seen.extras,
    }


def measure(
    settings: Settings, found: Inputs, model: Model, ablation: Ablation, extras: Extras
) -> Measured:
    """Lists of every system for the test window, judged and compared; published as an artefact."""
    split = splits.split(found.events, splits.SplitSettings.model_validate(model.course["split"]))
    if extras.stale:
        staleness.spans(settings, split)  # refused now, not after all else has been measured
    asked = questions.question(split, splits.TEST)
    past = split.window(splits.TEST).history
    features = stand_ins.item_features(settings, found, model.trained, model.attributes)
    recommender = answers.recommender(settings, found, model, past, asked.at_seconds, features)
    made = systems.of_window(settings, found, split, model, features, ablation, asked, recommender)
    counts = histories.counts(split.training, len(found.vocabulary))
    real = encode.item_features(settings, found, model.trained, model.attributes)
    parts = _parts(settings, asked, counts, real if settings.pretrain.stand_ins else features)
    on_shelves = SHELVES if extras.shelves or ablation != Ablation() else ()
    judged = _judged(settings, asked, made, parts, recommender, counts, on_shelves)
    table = compare(
        judged, LISTS, np.random.default_rng(settings.evaluation.seed), settings.evaluation.draws
    )
    facts = _facts(asked, recommender, model, settings)
    more, texts = {}, []
    if extras.stale:
        fresh = made.get(systems.CAUGHT_UP, made[LISTS])(None)
        aged = staleness.measure(settings, found, split, model, asked, fresh)
        more["staleness"] = staleness.as_dict(aged, settings, split)
        texts.append(staleness.as_text(aged, settings, split))
    if extras.trade_off:
        varied, tried = trade_off.measure(settings, found, split, model)
        more["trade_off"] = trade_off.as_dict(varied, tried, settings)
        texts.append(trade_off.as_text(varied, settings))
    folder = _publish(settings, found, model, {"facts": facts, **table.to_dict(), **more})
    return Measured(folder, table, facts, more, tuple(texts))


def as_text(table: EvaluationTable, facts: dict[str, Any], settings: Settings) -> str:
    """For a terminal: the first K's main metrics, recall by age of user and item."""
    k = settings.evaluation.ks[0]
    main = [f"recall_at_{k}", f"ndcg_at_{k}", f"hit_rate_at_{k}", "mrr", f"map_at_{k}"]
    main += [f"coverage_at_{k}", f"novelty_at_{k}", f"gini_at_{k}", f"popularity_share_at_{k}"]
    ages = ("user_new", "user_short", "user_long", "item_new", "item_long_tail", "item_warm")
    parts = [f"recall_at_{k}/{age}" for age in ages]
    parts += [f"recall_at_{k}/{shelf}_shelf" for shelf in SHELVES]
    patterns = [name for name in table.metrics if name.startswith(f"recall_at_{k}/item_only_")]
    return (
        f"test window from {facts['from']}, {facts['users']:,} users "
        f"({facts['new_users']:,} without history), {facts['relevant']:,} relevant items; "
        f"{facts['unlistable']:.1%} of them did not exist when the lists were made\n"
        + table.to_text([metric for metric in main if metric in table.metrics])
        + "\n"
        + table.to_text([metric for metric in parts if metric in table.metrics])
        + (f"\n{table.to_text(patterns)}" if len(patterns) > 1 else "")
        + "".join(f"\n{line}" for line in ablations.verdicts(table, f"recall_at_{k}"))
    )


def _parts(settings: Settings, asked: Question, counts: Floats, features: ItemFeatures) -> Segments:
    content = features.present[:, :-1].numpy()  # what is really there
    by_modality = segments.modality_segments(features.names, content)
    return Segments(
        segments.user_segments(np.diff(asked.everyone().offsets), settings.evaluation.segments),
        segments.item_segments(counts, settings.evaluation.segments)
        | {name: mask for name, mask in by_modality.items() if 0 < mask.sum() < len(mask)},
    )


def _judged(
    settings: Settings, asked: Question, made: dict[str, System], parts: Segments,
    recommender: Recommender, counts: Floats, on_shelves: Sequence[str],
) -> dict[str, Judgement]:  # fmt: skip
    """Every system's lists, and those of only a segment's items where any may be listed."""
    relevant, shop = asked.wanted(), Shop(counts, None, recommender.item_vectors)
    listable = {name: parts.items[name] & recommender.shop.eligible for name in on_shelves}
    judged = {}
    for name, lists in track(made.items(), "lists", len(made)):
        shelves = {shelf: lists(items) for shelf, items in listable.items() if items.any()}
        ks = settings.evaluation.ks
        judged[name] = judge(lists(None), relevant, ks, parts, shop, shelves)
    return judged


def _facts(
    asked: Question, recommender: Recommender, model: Model, settings: Settings
) -> dict[str, Any]:
    relevant = asked.wanted().rows
    return {
        "from": datetime.datetime.fromtimestamp(asked.at_seconds, datetime.UTC).isoformat(),
        "users": len(asked.known) + len(asked.new),
        "new_users": len(asked.new),
        "relevant": len(relevant),
        "unlistable": float(1 - np.isin(relevant, recommender.index.rows).mean()),
        "model": model.folder.name,
        "reranker": dict(zip(model.reranker.names, model.reranker.weights, strict=True)),
        "ks": list(settings.evaluation.ks),
    }


def _publish(settings: Settings, found: Inputs, model: Model, content: dict[str, Any]) -> Path:
    root = settings.root / "evaluations"
    name = f"evaluation-{model.content}-{fingerprint(settings.evaluation)[:8]}"
    parents = {"model": model.content, "interactions": found.interactions.name}
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        durable.write_json(staged.folder / "table.json", content)
    return root / name


def latest(settings: Settings, model: Model) -> dict[str, Any] | None:
    """The newest evaluation's table if it is of this model, else None."""
    root = settings.root / "evaluations"
    if not artefacts.exists(root):
        return None
    folder, manifest = artefacts.current(root, KIND)
    if manifest["parents"]["model"] != model.content:
        return None
    read: dict[str, Any] = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    return read

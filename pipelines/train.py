"""`recsys train`: towers on the training part, a reranker on the validation part, a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import encode, inputs
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts, durable, tracking
from recsys.data import histories as histories_module
from recsys.data import trends
from recsys.data.histories import Histories
from recsys.data.splits import TRAIN, VALIDATION, Split
from recsys.data.trends import Trends
from recsys.errors import InputFault
from recsys.evaluation.lists import RowSets, row_sets
from recsys.evaluation.metrics import match, recall_at_k
from recsys.models import saved, two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.progress import say
from recsys.serving import recommend, reranking
from recsys.serving.recommend import Shop
from recsys.serving.reranking import Reranker
from recsys.settings import fingerprint
from recsys.training import trainer
from recsys.training.trainer import FitResult, TrainingData

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
KIND, ROOT = "model", "models"
VALIDATION_K = 10


@dataclass(frozen=True)
class Question:
    """Users of a window with what they did in it: what validation and evaluation ask.

    Attributes:
        known: histories of the users who have one, at the window's beginning.
        relevant: what each of them did in the window.
        new: what users without history did.
        new_ids: their ids.
        at_seconds: the window's beginning.
        moments: `[U]` when each of the known asked, the time of what they did, where every event
            has a moment of its own (leave-one-out, random); else None.
    """

    known: Histories
    relevant: RowSets
    new: RowSets
    new_ids: tuple[str, ...]
    at_seconds: int
    moments: Rows | None


def run(settings: Settings, run: Run, resume: bool = False) -> dict[str, Any]:
    """Trains and publishes a model; the live one stays until the new one is complete.

    Raises:
        InputFault: nothing to learn from, or a loss that is not finite.
        MismatchFault: `resume` with other settings or data than the checkpoint's.
    """
    found = inputs.load(settings)
    split = found.split(settings)
    with run.timed("encode"):
        encode.fill(settings, found)
    with run.timed("train"), tracking.run(settings.tracking, settings.root, run.name) as tracker:
        tracker.parameters(settings.model_dump(mode="json"))
        folder, result = _train(settings, found, split, resume, tracker)
        tracker.artefact(folder / "training.json")
    return {
        "text": f"model: {folder}\nbest epoch {result.best_epoch + 1} of {len(result.epochs)}, "
        f"validation recall_at_{VALIDATION_K} {result.best_metric:.4f}, {result.step:,} steps",
        "model": str(folder),
        "epochs": len(result.epochs),
        "steps": result.step,
        f"validation_recall_at_{VALIDATION_K}": result.best_metric,
    }


def question(settings: Settings, found: Inputs, split: Split, part: int) -> Question:
    """The users of the validation or test window, those with and those without a history."""
    window = split.window(part)
    wanted = found.histories(settings, window.relevant)
    past = found.histories(
        settings, window.history.filter(pl.col("user_id").is_in(wanted.user_ids))
    )
    known = set(past.user_ids)
    with_history = histories_module.select(wanted, past.user_ids)
    without = histories_module.select(wanted, [u for u in wanted.user_ids if u not in known])
    return Question(
        past,
        row_sets(with_history.offsets, with_history.items),
        row_sets(without.offsets, without.items),
        without.user_ids,
        window.at_seconds,
        None if split.kind == "global_time" else with_history.times[with_history.offsets[:-1]],
    )


def _train(
    settings: Settings, found: Inputs, split: Split, resume: bool, tracker: tracking.Tracker
) -> tuple[Path, FitResult]:
    learned = found.histories(settings, split.frame.filter(pl.col("part") == TRAIN))
    counts = histories_module.counts(learned, len(found.vocabulary))
    names = [found.vocabulary.ids[row] for row in np.flatnonzero(counts)]
    attributes = encode.fit_attributes(settings, found, counts > 0)
    features = encode.item_features(settings, found, names, attributes)
    asked = question(settings, found, split, VALIDATION)
    shop = found.shop(split.window(VALIDATION).history, asked.at_seconds, today=False)
    model = two_tower.build(settings.model, features, settings.event_names, settings.train.seed)

    def validate(candidate: TwoTower) -> float:
        recommender = recommend.prepare(candidate, features, shop, asked.at_seconds, settings.lists)
        ranked = recommender.candidates(asked.known, moments=asked.moments).rows
        return float(np.nanmean(recall_at_k(match(ranked, asked.relevant), VALIDATION_K)))

    def report(metrics: Mapping[str, float], step: int) -> None:
        if "validation" in metrics:
            say(f"step {step}: " + ", ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
            tracker.metrics(dict(metrics), step)

    result = trainer.fit(
        model,
        TrainingData(features, learned, trends_of(settings, learned, found.created_seconds())),
        validate, settings.train, settings.root / "checkpoints", report, resume,
    )  # fmt: skip
    if not result.finished:
        raise SystemExit(0)
    model.eval()
    reranker = _fit_reranker(settings, model, features, shop, asked)
    folder = _publish(settings, found, split, model.cpu(), names, reranker, attributes, result)
    return folder, result


def trends_of(settings: Settings, learned: Histories, created_seconds: Floats) -> Trends | None:
    """Popularity and age of the items on every day of training; None where no term asks."""
    chosen = settings.model.trends
    if not chosen.half_lives_days and not chosen.freshness_days:
        return None
    return trends.build(learned.items, learned.times, created_seconds, chosen.half_lives_days)


def _fit_reranker(
    settings: Settings, model: TwoTower, features: ItemFeatures, shop: Shop, asked: Question
) -> Reranker:
    recommender = recommend.prepare(model, features, shop, asked.at_seconds, settings.lists)
    return reranking.fit(
        recommender.candidates(asked.known, moments=asked.moments), model.temperature.item(),
        recommender.terms, asked.relevant, settings.lists.rerank,
    )  # fmt: skip


def _publish(
    settings: Settings,
    found: Inputs,
    split: Split,
    model: TwoTower,
    names: list[str],
    reranker: Reranker,
    attributes: dict[str, Any],
    result: FitResult,
) -> Path:
    """Publishes the model under a name that its inputs and settings fix."""
    root = settings.root / "models"
    parents = {"catalogue": found.catalogue.name, "interactions": found.interactions.name}
    course = {
        "losses": result.losses,
        "epochs": [{"loss": epoch.loss, "validation": epoch.metric} for epoch in result.epochs],
        "best_epoch": result.best_epoch,
        "validation_seconds": split.validation_seconds,
        "test_seconds": split.test_seconds,
        "split": settings.split.model_dump(),
    }
    name = f"model-{fingerprint(settings.train)[:6]}-{fingerprint(settings.model)[:6]}"
    name += f"-{found.interactions.name[-8:]}"
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        saved.write(model, staged.folder, names)
        reranking.write(reranker, staged.folder)
        durable.write_json(staged.folder / "attributes.json", attributes)
        durable.write_json(staged.folder / "training.json", course)
    return root / name


@dataclass(frozen=True)
class Model:
    """A model folder, read and checked."""

    folder: Path
    content: str
    towers: TwoTower
    trained: tuple[str, ...]
    reranker: Reranker
    attributes: dict[str, Any]
    course: dict[str, Any]


def load(settings: Settings) -> Model:
    """The live model.

    Raises:
        InputFault: there is none, or it is damaged.
    """
    folder, manifest = artefacts.current(settings.root / "models", KIND)
    read = saved.read(folder)
    try:
        attributes = json.loads((folder / "attributes.json").read_text(encoding="utf-8"))
        course = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFault(
            f"the model folder is incomplete: {error}", where=str(folder), fix="train again"
        ) from None
    return Model(
        folder,
        manifest["content"],
        read.model,
        read.item_ids.ids,
        reranking.read(folder),
        attributes,
        course,
    )

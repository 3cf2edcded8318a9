"""`recsys train`: towers on the training part, a reranker on the validation part, a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import encode, inputs
from pipelines.inputs import Inputs
from pipelines.lessons import (
    VALIDATION_K,
    Lesson,
    Question,
    fit,
    prepare,
    question,
    trends_of,
)
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts, distributed, durable, tracking
from recsys.data.splits import Split
from recsys.errors import InputFault
from recsys.models import saved
from recsys.models.two_tower import TwoTower
from recsys.progress import say
from recsys.serving import recommend, reranking
from recsys.serving.reranking import Reranker
from recsys.settings import fingerprint
from recsys.training.trainer import FitResult

__all__ = ["Model", "Question", "load", "question", "run", "trends_of"]

KIND, ROOT = "model", "models"


def run(settings: Settings, run: Run, resume: bool = False) -> dict[str, Any]:
    """Trains and publishes a model; the live one stays until the new one is complete.

    Started by torchrun, several processes train it together; the first one publishes.

    Raises:
        InputFault: nothing to learn from, or a loss that is not finite.
        MismatchFault: `resume` with other settings or data than the checkpoint's.
        ResourceFault: another process is gone.
    """
    found = inputs.load(settings)
    split = found.split(settings)
    with distributed.joined(settings.train.processes) as here:
        with run.timed("encode"):
            if here.first:
                encode.fill(settings, found)
            distributed.wait()
        if not here.first:
            fit(settings, prepare(settings, found, split), _checkpoints(settings), _silent, resume)
            return {}
        with (
            run.timed("train"),
            tracking.run(settings.tracking, settings.root, run.name) as tracker,
        ):
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


def _train(
    settings: Settings, found: Inputs, split: Split, resume: bool, tracker: tracking.Tracker
) -> tuple[Path, FitResult]:
    lesson = prepare(settings, found, split)

    def report(metrics: Mapping[str, float], step: int) -> None:
        if "validation" in metrics:
            say(f"step {step}: " + ", ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
            tracker.metrics(dict(metrics), step)

    model, result = fit(settings, lesson, _checkpoints(settings), report, resume)
    if not result.finished:
        raise SystemExit(0)
    model.eval()
    reranker = fit_reranker(settings, model, lesson)
    return _publish(settings, found, split, model.cpu(), lesson, reranker, result), result


def _checkpoints(settings: Settings) -> Path:
    return settings.root / "checkpoints"


def _silent(metrics: Mapping[str, float], step: int) -> None:
    """What all processes but the first report."""


def fit_reranker(settings: Settings, model: TwoTower, lesson: Lesson) -> Reranker:
    """Weights of the list's terms, fitted on the validation window."""
    asked = lesson.asked
    recommender = recommend.prepare(
        model, lesson.data.features, lesson.shop, asked.at_seconds, settings.lists
    )
    return reranking.fit(
        recommender.candidates(asked.known, moments=asked.moments), model.temperature.item(),
        recommender.terms, asked.relevant, settings.lists.rerank,
    )  # fmt: skip


def _publish(
    settings: Settings,
    found: Inputs,
    split: Split,
    model: TwoTower,
    lesson: Lesson,
    reranker: Reranker,
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
        saved.write(model, staged.folder, lesson.names)
        reranking.write(reranker, staged.folder)
        durable.write_json(staged.folder / "attributes.json", lesson.attributes)
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

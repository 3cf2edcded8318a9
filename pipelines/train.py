"""`recsys train`: towers on the training part, a reranker on the validation part, a model."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import champion, encode, inputs, pretrain, sources, trained
from pipelines.champion import Verdict
from pipelines.inputs import Inputs
from pipelines.lessons import (
    VALIDATION_K,
    Lesson,
    fit,
    prepare,
)
from pipelines.runs import Run
from pipelines.settings import Settings
from pipelines.trained import KIND, ROOT, load
from recsys import artefacts, distributed, durable, progress, tracking
from recsys.data.splits import DAY_SECONDS, Split
from recsys.errors import InputFault, MismatchFault
from recsys.models import saved
from recsys.models.two_tower import TwoTower
from recsys.progress import say
from recsys.serving import handover, recommend, reranking
from recsys.serving.indexing import Indexing
from recsys.serving.reranking import Reranker
from recsys.settings import fingerprint
from recsys.training.trainer import FitResult

__all__ = ["load", "run"]


def run(settings: Settings, run: Run, resume: bool = False) -> dict[str, Any]:
    """Trains and publishes a model; it goes live unless the live one turns out to be better.

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
            with run.timed("champion"):
                verdict = _settled(settings, found, split, folder, tracker)
            trained.prune(settings)
    run.facts["champion"] = verdict.facts()
    say(verdict.why)
    course = f"best epoch {result.best_epoch + 1} of {len(result.epochs)}, validation recall_at_"
    course += f"{VALIDATION_K} {result.best_metric:.4f}, {result.step:,} steps"
    return {
        "text": "\n".join([f"model: {folder}", course, verdict.why]),
        "model": str(folder),
        "champion": verdict.facts(),
        "epochs": len(result.epochs),
        "steps": result.step,
        f"validation_recall_at_{VALIDATION_K}": result.best_metric,
    }


def due(settings: Settings, found: Inputs) -> bool:
    """Whether `nightly.retrain_every_days` of events came in since the newest training.

    A training counts whether or not its model went live.
    """
    days, root = settings.nightly.retrain_every_days, settings.root / ROOT
    courses = (trained.course(root / name) for name in artefacts.versions(root))
    newest = max((course.get("newest_seconds", 0) for course in courses), default=0)
    return days > 0 and found.newest_seconds() // DAY_SECONDS - newest // DAY_SECONDS >= days


def _settled(
    settings: Settings, found: Inputs, split: Split, folder: Path, tracker: tracking.Tracker
) -> Verdict:
    """Moves the pointer to the new model, unless the live one wins."""
    challenger, root = trained.read(folder), settings.root / ROOT
    try:
        live = load(settings) if artefacts.exists(root) else None
    except (InputFault, MismatchFault) as fault:
        say(f"warning: the live model is no champion: {fault.what}")
        live = None
    verdict = Verdict(True, "the first model goes live")
    if live is not None:
        verdict = champion.judged(settings, found, split, challenger, live)
    if verdict.challenger_wins:
        artefacts.point(root, folder.name)
    if verdict.challenger is not None and verdict.champion is not None:
        pair = {"challenger_recall": verdict.challenger, "champion_recall": verdict.champion}
        tracker.metrics(pair)
    tags = {"folder": folder.name, "content": challenger.content, "why": verdict.why}
    tracker.model(settings.tracking.experiment, tags, verdict.challenger_wins)
    return verdict


def _train(
    settings: Settings, found: Inputs, split: Split, resume: bool, tracker: tracking.Tracker
) -> tuple[Path, FitResult]:
    lesson = prepare(settings, found, split)

    still_there = progress.paced()

    def report(metrics: Mapping[str, float], step: int) -> None:
        if "validation" in metrics:
            recall = f"validation recall_at_{VALIDATION_K} {metrics['validation']:.4f}"
            say(f"step {step}, epoch done: loss {metrics['epoch_loss']:.4f}, {recall}")
            tracker.metrics(dict(metrics), step)
        else:
            still_there(f"step {step}: loss {metrics['loss']:.4f}")

    model, result = fit(settings, lesson, _checkpoints(settings), report, resume)
    if not result.finished:
        raise SystemExit(0)
    model.eval()
    reranker = settle(settings, model, lesson)
    return _publish(settings, found, split, model.cpu(), lesson, reranker, result), result


def _checkpoints(settings: Settings) -> Path:
    return settings.root / "checkpoints"


def _silent(metrics: Mapping[str, float], step: int) -> None:
    """What all processes but the first report."""


def settle(settings: Settings, model: TwoTower, lesson: Lesson) -> Reranker:
    """What the validation window fits after training: the model's hand-over, the terms' weights."""
    asked = lesson.asked
    if settings.model.items.handover:
        handover.fit(
            model, lesson.data.features, lesson.shop, asked.known, asked.relevant,
            asked.at_seconds, asked.moments,
        )  # fmt: skip
    recommender = recommend.prepare(
        model, lesson.data.features, lesson.shop, asked.at_seconds, settings.lists,
        indexing=Indexing(aside=settings.root),
    )  # fmt: skip
    some = asked.sample(settings.lists.rerank.users)
    return reranking.fit(
        recommender.candidates(some.known, moments=some.moments), model.temperature.item(),
        recommender.terms, some.relevant, settings.lists.rerank,
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
    root = settings.root / ROOT
    parents = {"catalogue": found.catalogue.name, "interactions": found.interactions.name}
    sections = [settings.features, settings.split, settings.lists]
    if settings.pretrain.warm_start:
        parents["pretrained"] = pretrain.live(settings)
        sections.append(settings.pretrain)
    course = {
        "losses": result.losses,
        "epochs": [{"loss": epoch.loss, "validation": epoch.metric} for epoch in result.epochs],
        "best_epoch": result.best_epoch,
        "validation_seconds": split.validation_seconds,
        "test_seconds": split.test_seconds,
        "newest_seconds": found.newest_seconds(),
        "split": settings.split.model_dump(),
        "encoders": sources.fingerprints(settings),
    }
    others = "".join(map(fingerprint, sections))
    name = f"model-{fingerprint(settings.train)[:6]}-{fingerprint(settings.model)[:6]}"
    name += f"-{hashlib.sha256(others.encode()).hexdigest()[:6]}-{found.interactions.name[-8:]}"
    with artefacts.publishing(root, name, KIND, parents=parents, current=False) as staged:
        saved.write(model, staged.folder, lesson.names)
        reranking.write(reranker, staged.folder)
        durable.write_json(staged.folder / "attributes.json", lesson.attributes)
        durable.write_json(staged.folder / "training.json", course)
    return root / name

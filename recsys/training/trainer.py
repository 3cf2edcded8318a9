"""Training both towers together: one loop for laptop and GPU. Called by `pipelines.train`.

A run that is stopped at any step and resumed ends, on the CPU, with the same bits as one that was
not. A loss that is not finite stops the run before it touches the weights.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from recsys import distributed, memory
from recsys.errors import InputFault
from recsys.models.precision import quick_products
from recsys.models.two_tower import TwoTower
from recsys.training import checkpoints
from recsys.training.optimizers import Schedule
from recsys.training.run import FitResult, Report, Run
from recsys.training.settings import TrainingSettings, cuda_devices
from recsys.training.training_data import TrainingData

__all__ = ["FitResult", "TrainingData", "TrainingSettings", "fit"]


def fit(
    model: TwoTower,
    data: TrainingData,
    validate: Callable[[TwoTower], float],
    settings: TrainingSettings,
    checkpoints_folder: Path | None,
    report: Report,
    resume: bool = False,
) -> FitResult:
    """Trains `model` in place; at the end it has the weights of the best validated epoch.

    Args:
        model: fresh from `two_tower.build`; moved to the training device.
        data: what to learn from.
        validate: called after each epoch with the model in evaluation mode; higher is better.
        settings: of the training.
        checkpoints_folder: where checkpoints go; None for none.
        report: called with metrics and the step: `loss` each step, `validation` each epoch.
        resume: go on from the newest checkpoint of the folder; without it, older ones are removed.

    Raises:
        InputFault: nothing to learn from, nothing to resume, or loss or gradient are not finite
            (weights untouched).
        MismatchFault: the checkpoint belongs to other settings, another model or other data.
    """
    run = Run(model, data, settings, checkpoints_folder)
    if not run.epoch_steps:
        users = len(data.histories.offsets) - 1
        raise InputFault(
            "nobody's history goes on before the cut: there is nothing to learn from",
            value=f"{len(data.histories.items)} events, {users} users",
            where="the training histories", fix="bring a longer log, or move the split's cut",
        )  # fmt: skip
    with _seeded(settings, run.place.device):
        if resume:
            run.restore()
        elif checkpoints_folder is not None and distributed.world().first:
            checkpoints.clear(checkpoints_folder)
        while not run.done():
            if not run.train_epoch(report):
                return run.result
            run.close_epoch(validate, report)
    run.result.finished = True
    run.take_best()
    memory.give_back()
    return run.result


def catch_up(model: TwoTower, data: TrainingData, settings: TrainingSettings) -> int:
    """Trains a trained `model` on, in place, with the events since `data.since_seconds` as targets.

    For what happened after training: the validation window, and the days until a night's lists.
    There is nothing to validate with; passes and rates are those of the settings. The same model,
    data and settings give, on the CPU, the same bits.

    Args:
        model: has a row in its id table for every item of `data.features` that has an id.
        data: all events that may be known, older ones to read, newer ones to learn.
        settings: of the training.

    Returns:
        The number of steps; 0 where nothing new is to be learned.

    Raises:
        InputFault: loss or gradient are not finite (weights untouched since the last step).
    """
    optimizer = settings.optimizer
    slower = optimizer.model_copy(
        update={
            "learning_rate": optimizer.learning_rate * settings.catch_up_rate,
            "table_learning_rate": optimizer.table_learning_rate * settings.catch_up_rate,
        }
    )
    run = Run(model, data, settings.model_copy(update={"optimizer": slower}), None)
    # gently: the few steps may all be warm-up
    total = settings.catch_up_epochs * run.epoch_steps
    run.schedule = Schedule(optimizer.warmup_steps, total, "cosine")
    with _seeded(settings, run.place.device):
        for epoch in range(settings.catch_up_epochs):
            run.result.epoch, run.result.batch = epoch, 0
            run.train_epoch(_silent)
    model.eval()
    memory.give_back()
    return run.result.step


def _silent(metrics: Mapping[str, float], step: int) -> None:
    """A report that nobody reads."""


@contextlib.contextmanager
def _seeded(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Torch's own generators and precision, set inside and as they were afterwards."""
    quick = quick_products(settings.precision != "float32")
    with torch.random.fork_rng(devices=cuda_devices(device)), quick:
        torch.manual_seed(settings.seed + distributed.world().rank)
        yield

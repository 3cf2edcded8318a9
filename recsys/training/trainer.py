"""Training both towers together: one loop for laptop and GPU. Called by `pipelines.train`.

A run that is stopped at any step and resumed ends, on the CPU, with the same bits as one that was
not. A loss that is not finite stops the run before it touches the weights.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from recsys.models.two_tower import TwoTower
from recsys.training import checkpoints
from recsys.training.run import FitResult, Report, Run, TrainingData
from recsys.training.settings import TrainingSettings, cuda_devices

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
        InputFault: nothing to learn from, or loss or gradient are not finite (weights untouched).
        MismatchFault: the checkpoint belongs to other settings, another model or other data.
    """
    run = Run(model, data, settings, checkpoints_folder)
    with _seeded(settings.seed, run.device):
        if resume:
            run.restore()
        elif checkpoints_folder is not None:
            checkpoints.clear(checkpoints_folder)
        while not run.done():
            if not run.train_epoch(report):
                return run.result
            run.close_epoch(validate, report)
    run.result.finished = True
    run.take_best()
    return run.result


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's own generators, seeded inside and as they were afterwards: dropout uses them."""
    with torch.random.fork_rng(devices=cuda_devices(device)):
        torch.manual_seed(seed)
        yield

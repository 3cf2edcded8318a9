"""A training run: its course so far, its steps, and its checkpoints. Driven by the trainer."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recsys import distributed
from recsys.errors import InputFault
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.training import checkpoints, profiling, steps
from recsys.training.batch import Batch
from recsys.training.batches import Batches
from recsys.training.optimizers import Schedule
from recsys.training.settings import FREE, TrainingSettings
from recsys.training.training_data import TrainingData
from recsys.training.whole import Whole

if TYPE_CHECKING:
    from recsys.training.parallel import Parallel

Report = Callable[[Mapping[str, float], int], None]


@dataclass(frozen=True)
class Epoch:
    """One epoch: mean training loss, and the validation metric after it."""

    loss: float
    metric: float


@dataclass
class FitResult:
    """The course of a run, also while it lasts.

    Attributes:
        step: steps done; losses has one number for each.
        epoch, batch: where the next step is.
        epochs: the epochs done.
        best_epoch: index of the epoch whose weights the model has at the end; -1 before the first.
        drops: how often learning rates fell on a plateau; the last time before `drop_epoch`.
        finished: all epochs done, or stopped early; false where `stop_after_steps` ended it.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    losses: list[float] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    drops: int = 0
    drop_epoch: int = 0
    finished: bool = False

    @property
    def best_metric(self) -> float:
        """The best epoch's validation metric."""
        return self.epochs[self.best_epoch].metric if self.best_epoch >= 0 else -math.inf


class Run:
    """A run's parts, and its steps."""

    def __init__(
        self, model: TwoTower, data: TrainingData, settings: TrainingSettings, folder: Path | None
    ) -> None:
        self.place = _placed(model, data.features, settings)
        self.settings = settings
        self.folder = folder
        self.batches = Batches(
            data.histories, len(data.features), model.settings.users.max_length, settings.batches,
            settings.seed, data.trends, data.since_seconds, data.people,
        )  # fmt: skip
        # a small log's training may be shorter than the warm-up of a large one's
        self.epoch_steps, optimizer = self.batches.count(0), settings.optimizer
        warmup = min(optimizer.warmup_steps, self.epoch_steps)
        self.schedule = Schedule(warmup, settings.epochs * self.epoch_steps, optimizer.decay)
        self.result = FitResult()
        self.best: dict[str, Tensor] = {}
        self.identity = {
            "training": settings.model_dump(exclude=FREE, mode="json"),
            "model": model.settings.model_dump(mode="json"),
            "shape": model.shape.model_dump(mode="json"),
            "data": data.digest(),
        }

    def done(self) -> bool:
        """Whether all epochs are done, or the last ones brought nothing."""
        return self.result.epoch >= self.settings.epochs or self._idle()

    def _idle(self) -> bool:
        """Whether the last epochs brought nothing, and nothing more is to be tried."""
        result = self.result
        since = len(result.epochs) - max(result.best_epoch + 1, result.drop_epoch)
        steps = since * self.epoch_steps
        return since >= self.settings.patience and steps >= self.settings.patience_steps

    def _drop(self) -> None:
        """On a plateau, once: back to the best weights, with smaller learning rates."""
        result = self.result
        if self.settings.optimizer.decay == "plateau" and not result.drops and self._idle():
            self.place.load(self.best)
            result.drops, result.drop_epoch = 1, len(result.epochs)

    def train_epoch(self, report: Report) -> bool:
        """The rest of the current epoch; false where `stop_after_steps` ended it."""
        result, settings = self.result, self.settings
        self.place.train()
        with (
            contextlib.closing(self.batches.epoch(result.epoch, result.batch)) as batches,
            profiling.watched(settings.profile, self.place.device) as stepped,
        ):
            while (batch := _following(batches)) is not None:
                if settings.stop_after_steps and result.step >= settings.stop_after_steps:
                    self.save()
                    return False
                loss = self._step(batch)
                result.losses.append(loss)
                result.step += 1
                result.batch += 1
                report({"loss": loss, "events": float(batch.mask.sum())}, result.step)
                if result.step % settings.checkpoint_steps == 0:
                    self.save()
                stepped()
        return True

    def _step(self, batch: Batch) -> float:
        settings, result = self.settings.optimizer, self.result
        self.place.set_rates(self.schedule.factor(result.step, result.drops))
        loss, norm = self.place.gradients(batch)
        steps.check_finite(loss, norm, result.step, batch)
        with profiling.part("weights"):
            self.place.step(min(1.0, settings.clip_norm / max(norm, 1e-30)))
        return loss

    def close_epoch(
        self,
        validate: Callable[[TwoTower], float],
        report: Report,
    ) -> None:
        """Validates, keeps the weights if they are the best so far, and saves."""
        result = self.result
        metric = self.place.judged(validate)
        metric = -math.inf if math.isnan(metric) else metric
        recent = result.losses[len(result.losses) - result.batch :]
        loss = sum(recent) / len(recent)
        best = metric > result.best_metric or result.best_epoch < 0
        result.epochs.append(Epoch(loss, metric))
        report({"epoch_loss": loss, "validation": metric}, result.step)
        if best:
            result.best_epoch = result.epoch
            self.best = {name: value.clone() for name, value in self.place.state().items()}
        result.epoch, result.batch = result.epoch + 1, 0
        self._drop()
        self.save()

    def take_best(self) -> None:
        """Puts the best weights into the model."""
        self.place.finish(self.best)

    def save(self) -> None:
        """Writes a checkpoint of all that the next step depends on."""
        if self.folder is None:
            return
        result = self.result
        model, moments = self.place.state(), self.place.optimizer_state()
        if not distributed.world().first:
            return
        tensors = {
            **checkpoints.named("model", model),
            **checkpoints.named("best", self.best),
            **checkpoints.named("optimizers", moments),
            **checkpoints.named("random", checkpoints.random_tensors(self.place.device)),
            "losses": torch.tensor(result.losses, dtype=torch.float64),
        }
        values = {key: value for key, value in asdict(result).items() if key != "losses"}
        saved = checkpoints.Checkpoint(tensors, {"result": values, "identity": self.identity})
        checkpoints.save(self.folder, result.step, saved)

    def restore(self) -> None:
        """Goes back to the newest complete checkpoint.

        Raises:
            InputFault: there is none.
            MismatchFault: it belongs to other settings, another model or other data.
        """
        if self.folder is None:
            return
        saved = checkpoints.newest(self.folder)
        if saved is None:
            raise InputFault(
                "there is no whole checkpoint to go on from", where=str(self.folder),
                fix="train without --resume: that starts anew",
            )  # fmt: skip
        checkpoints.compare(saved.values["identity"], self.identity, self.folder)
        values: dict[str, Any] = dict(saved.values["result"])
        values["epochs"] = [Epoch(**epoch) for epoch in values["epochs"]]
        self.result = FitResult(losses=saved.tensors["losses"].tolist(), **values)
        self.place.load(checkpoints.part(saved.tensors, "model"))
        best = checkpoints.part(saved.tensors, "best")
        self.best = {name: value.to(self.place.device) for name, value in best.items()}
        self.place.load_optimizers(checkpoints.part(saved.tensors, "optimizers"))
        here = distributed.world()
        if here.size == 1:
            random = checkpoints.part(saved.tensors, "random")
            checkpoints.restore_random(random, self.place.device)
        else:  # each has its own, whatever the number of processes was
            torch.manual_seed(self.settings.seed + (self.result.step << 16) + here.rank)


def _following(batches: Iterator[Batch]) -> Batch | None:
    with profiling.part("waiting for a batch"):
        return next(batches, None)


def _placed(
    model: TwoTower, features: ItemFeatures, settings: TrainingSettings
) -> "Whole | Parallel":
    """The model where it is trained: in this process, or shared with others by torchrun."""
    if distributed.world().size == 1:
        return Whole(model, features, settings)
    from recsys.training.parallel import Parallel  # with torchrec

    return Parallel(model, features, settings)

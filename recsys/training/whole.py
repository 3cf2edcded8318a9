"""A model that one process holds as a whole: its gradients, its steps, its state.

The run drives it; `parallel.Parallel` offers the same for a model that several processes share.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.training import checkpoints, optimizers, steps
from recsys.training.batch import Batch
from recsys.training.settings import TrainingSettings, autocast, chosen_device, cuda_devices


class Whole:
    """The model and its optimizers, on one device."""

    def __init__(self, model: TwoTower, features: ItemFeatures, settings: TrainingSettings) -> None:
        self.device = chosen_device(settings)
        self._model = model.to(self.device)
        self._features = features.to(self.device)
        self._settings = settings
        self._optimizers = optimizers.build(model, settings.optimizer)

    def train(self) -> None:
        """Dropout on."""
        self._model.train()

    def set_rates(self, scale: float) -> None:
        """Learning rates of the next `gradients` and `step`: their peaks times `scale`."""
        optimizers.set_rates(self._optimizers, self._settings.optimizer, scale)

    def gradients(self, batch: Batch) -> tuple[float, float]:
        """Fills the gradients of a batch's loss; returns the loss and the gradients' norm."""
        batch = batch.to(self.device)
        with autocast(self._settings, self.device):
            mask_history = self._settings.batches.mask_history
            loss = steps.batch_loss(self._model, self._features, batch, mask_history)
        norm = steps.gradients(self._model, self._optimizers, loss)
        return float(loss.detach()), norm

    def step(self, shrink: float) -> None:
        """Moves the weights by their gradients times `shrink`."""
        if shrink < 1:
            optimizers.scale_gradients(self._model, shrink)
        for optimizer in self._optimizers:
            optimizer.step()
        self._model.clamp_temperature()

    def judged(self, validate: Callable[[TwoTower], float]) -> float:
        """The validation metric of the weights as they are."""
        self._model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=cuda_devices(self.device)):
            return validate(self._model)

    def state(self) -> dict[str, Tensor]:
        """All weights by name, as they are: clone what is to last."""
        return self._model.state_dict()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The reverse of `state`."""
        self._model.load_state_dict(state)

    def optimizer_state(self) -> dict[str, Tensor]:
        """What the optimizers remember."""
        return checkpoints.optimizer_tensors(self._optimizers)

    def load_optimizers(self, state: Mapping[str, Tensor]) -> None:
        """The reverse of `optimizer_state`."""
        checkpoints.restore_optimizers(self._optimizers, state)

    def finish(self, state: Mapping[str, Tensor]) -> None:
        """Leaves the model that was given with the weights `state`, in evaluation mode."""
        self._model.load_state_dict(state)
        self._model.eval()

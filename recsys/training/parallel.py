"""A model that several processes train together: the id table in shards, the rest on each.

Every process makes the same batches. Of each batch it computes its part of the items and of the
windows; item vectors, the candidates of all, are gathered with their gradients. Loss and weights
are those of one process, up to rounding, and so are checkpoints: a run may go on with any number of
processes. The run imports this, and with it torchrec, only where there are several.
"""

import copy
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, distributed, nn
from torch.distributed import _functional_collectives as collectives
from torch.nn import functional

from recsys.distributed import world
from recsys.errors import UsageFault
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.training import checkpoints, optimizers, profiling, steps
from recsys.training.batch import Batch
from recsys.training.settings import TrainingSettings, autocast, chosen_device, cuda_devices
from recsys.training.sharding import TableShards

TABLE = "item_tower.id_embedding.table.weight"
TABLE_SUMS = "1/0/sum"  # of row-wise Adagrad, as `checkpoints.optimizer_tensors` names it


class Parallel:
    """What `whole.Whole` is for one process; every method is called by all processes at once."""

    def __init__(self, model: TwoTower, features: ItemFeatures, settings: TrainingSettings) -> None:
        if settings.optimizer.table != "rowwise_adagrad":
            raise UsageFault(
                "a table in shards learns by row-wise Adagrad", value=settings.optimizer.table,
                where="train.optimizer.table", fix="set rowwise_adagrad, or train in one process",
            )  # fmt: skip
        self._world = world()
        self.device = chosen_device(settings)
        self._settings = settings
        self._features = features.to(self.device)
        self._given = model
        table = model.item_tower.id_embedding
        self._table = TableShards(table.table.weight.detach(), settings.table, self.device)
        model.item_tower.add_module("id_embedding", nn.Module())
        self._model = copy.deepcopy(model).to(self.device)
        self._model.item_tower.add_module("id_embedding", self._table)
        if self._world.first:  # which saves it; the others have no use for the whole table
            model.item_tower.add_module("id_embedding", table)
        self._adam = optimizers.dense(self._model.parameters(), settings.optimizer)

    def train(self) -> None:
        """Dropout on."""
        self._model.train()

    def set_rates(self, scale: float) -> None:
        """Learning rates of the next `gradients` and `step`: their peaks times `scale`."""
        pair = [self._adam, self._table.optimizer]
        optimizers.set_rates(pair, self._settings.optimizer, scale)
        self._table.optimizer.step()  # hands them to torchrec, which moves rows in backward

    def gradients(self, batch: Batch) -> tuple[float, float]:
        """Fills the gradients of a batch's loss; returns the loss and the gradients' norm."""
        part = batch.share(self._world.rank, self._world.size).to(self.device)
        rows, size = batch.item_rows, math.ceil(len(batch.item_rows) / self._world.size)
        mine = rows[self._world.rank * size : (self._world.rank + 1) * size].to(self.device)
        with autocast(self._settings, self.device):
            with profiling.part("items"):
                own = self._model.items(self._features.gather(mine))
                vectors = _gathered(own, size)[: len(rows)]
            loss = steps.loss_of_states(
                self._model, vectors, part, self._settings.batches.mask_history
            )
        # the loss of a part is a mean by weights
        loss = loss * float(part.weights.sum() / batch.weights.sum().clamp(min=1e-30))
        self._adam.zero_grad(set_to_none=True)
        with profiling.part("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        total, squares = self._reduced(loss.detach(), self._table.gradient_square())
        norm = optimizers.gradient_norm(self._model)
        return float(total), math.hypot(float(norm), math.sqrt(float(squares)))

    def _reduced(self, loss: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Adds up the dense gradients, the loss and the table's part of the norm: one exchange.

        A weight without a gradient in every process stays without.
        """
        weights = list(self._model.parameters())
        there = loss.new_tensor([float(weight.grad is not None) for weight in weights])
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        flat = torch.cat([torch.stack([loss, squares]), there, *(g.flatten() for g in grads)])
        distributed.all_reduce(flat)
        sizes = [2, len(weights), *(weight.numel() for weight in weights)]
        sums, there, *grads = torch.split(flat, sizes)
        for weight, grad, count in zip(weights, grads, there.tolist(), strict=True):
            weight.grad = grad.view_as(weight) if count else None
        return sums[0], sums[1]

    def step(self, shrink: float) -> None:
        """Moves the weights by their gradients times `shrink`."""
        if shrink < 1:
            optimizers.scale_gradients(self._model, shrink)
        self._adam.step()
        self._table.step(shrink)
        self._model.clamp_temperature()

    def judged(self, validate: Callable[[TwoTower], float]) -> float:
        """The validation metric of the weights as they are; the first process finds it."""
        state = self.state()
        metric = torch.zeros(1, dtype=torch.float64, device=self.device)
        if self._world.first:
            self._given.load_state_dict(state)
            self._given.eval()
            with torch.no_grad(), torch.random.fork_rng(devices=cuda_devices(self.device)):
                metric.fill_(validate(self._given))
        distributed.broadcast(metric, 0)
        return float(metric)

    def state(self) -> dict[str, Tensor]:
        """All weights by name, on the CPU, as one process names them; only the first has them."""
        table = self._table.weights.gathered()
        if table is None:
            return {}
        names = self._given.state_dict()
        dense = self._model.state_dict()
        return {name: table if name == TABLE else dense[name].cpu().clone() for name in names}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Spreads what the first process has; the reverse of `state`."""
        self._table.weights.spread(state.get(TABLE))
        for name, value in self._model.state_dict().items():
            if self._world.first:
                value.copy_(state[name])
            distributed.broadcast(value, 0)

    def optimizer_state(self) -> dict[str, Tensor]:
        """What the optimizers remember; of the table only the first process has it."""
        sums = self._table.sums.gathered()
        table = {} if sums is None else {TABLE_SUMS: sums}
        return checkpoints.optimizer_tensors([self._adam]) | table

    def load_optimizers(self, state: Mapping[str, Tensor]) -> None:
        """The reverse of `optimizer_state`; every process has read the same checkpoint."""
        self._table.sums.spread(state[TABLE_SUMS])
        dense = {name: value for name, value in state.items() if name != TABLE_SUMS}
        checkpoints.restore_optimizers([self._adam], dense)

    def finish(self, state: Mapping[str, Tensor]) -> None:
        """Leaves the first process's model with the weights `state`, in evaluation mode."""
        if self._world.first:
            self._given.load_state_dict(state)
            self._given.eval()


def _gathered(own: Tensor, size: int) -> Tensor:
    """`[size * processes, D]` rows of all processes, `own` filled up to `size`; with gradients."""
    padded = functional.pad(own, (0, 0, 0, size - len(own)))
    group = distributed.group.WORLD
    assert group is not None
    every: Tensor = collectives.all_gather_single_autograd(padded, 0, group)
    return every

"""The id table in shards over the processes of a training: torchrec's, placed by its planner.

The only file that imports torchrec. A table is read once a step, for rows that no other process
reads in that step; its row-wise Adagrad runs inside torchrec's backward pass.
"""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed._shard.sharded_tensor.api import ShardedTensor
from torch.distributed.optim.apply_optimizer_in_backward import _apply_optimizer_in_backward
from torchrec import EmbeddingCollection, EmbeddingConfig, KeyedJaggedTensor
from torchrec.distributed.comm_ops import set_gradient_division
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embedding_types import EmbeddingComputeKernel
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.types import PlannerError
from torchrec.distributed.shard import shard
from torchrec.distributed.types import CacheParams, ShardingEnv
from torchrec.optim import RowWiseAdagrad

from recsys.distributed import world
from recsys.errors import ResourceFault
from recsys.training.settings import TableSettings

NAME, FEATURE = "ids", "item"
BLOCK = 1 << 18  # rows that travel at a time
EPS = 1e-8  # as in `optimizers.RowWiseAdagrad`


class Shards:
    """A tensor whose rows lie with several processes; all of them call each method at once."""

    def __init__(self, tensor: ShardedTensor) -> None:
        self._tensor = tensor

    def gathered(self) -> Tensor | None:
        """All of it on the CPU of the first process; None on the others."""
        first = world().first
        whole = torch.empty(self._tensor.size()) if first else None
        for owner, start, count, own in self._blocks():
            block = own
            if owner and own is not None:
                distributed.send(own.contiguous(), 0)
            elif owner and first:
                block = self._buffer(count)
                distributed.recv(block, owner)
            if whole is not None and block is not None:
                whole[start : start + count] = block.view_as(whole[start : start + count])
        return whole

    def spread(self, whole: Tensor | None) -> None:
        """The reverse of `gathered`: what the first process has goes to the shards."""
        first = world().first
        for owner, start, count, own in self._blocks():
            if own is not None and owner:
                block = self._buffer(count)
                distributed.recv(block, 0)
                own.copy_(block.view_as(own))
            elif first and whole is not None:
                block = whole[start : start + count].contiguous()
                if own is not None:
                    own.copy_(block.view_as(own))
                else:
                    distributed.send(block.to(self._device()), owner)

    def _blocks(self) -> Iterator[tuple[int, int, int, Tensor | None]]:
        """Owner, first row, rows and, with its owner, the values of every block, in one order."""
        local = {
            tuple(piece.metadata.shard_offsets): piece.tensor
            for piece in self._tensor.local_shards()
        }
        for metadata in self._tensor.metadata().shards_metadata:
            offsets, rows = tuple(metadata.shard_offsets), metadata.shard_sizes[0]
            placement = metadata.placement
            assert placement is not None
            own = local.get(offsets) if placement.rank() == world().rank else None
            for start in range(0, rows, BLOCK):
                count = min(BLOCK, rows - start)
                piece = None if own is None else own[start : start + count]
                yield placement.rank() or 0, offsets[0] + start, count, piece

    def _buffer(self, rows: int) -> Tensor:
        return torch.empty((rows, *list(self._tensor.size())[1:]), device=self._device())

    def _device(self) -> torch.device:
        gpu = distributed.get_backend() == "nccl"
        return torch.device("cuda", world().local) if gpu else torch.device("cpu")


class TableShards(nn.Module):
    """Stands in for `id_embedding.IdEmbedding`, with its rows spread over the processes.

    The gradient stops at the rows that were read, so that the run can look at its norm and shrink
    it before `step` sends it to the shards.

    Args:
        table: `[N, D]` first values; the same on every process.
        settings: where the shards lie.
        device: of this process.

    Raises:
        ResourceFault: the table does not fit the devices.
    """

    def __init__(self, table: Tensor, settings: TableSettings, device: torch.device) -> None:
        super().__init__()
        rows, width = table.shape
        config = EmbeddingConfig(
            name=NAME, num_embeddings=rows, embedding_dim=width, feature_names=[FEATURE]
        )
        collection = EmbeddingCollection(tables=[config], device=torch.device("meta"))
        # the learning rate is set anew before each step
        _apply_optimizer_in_backward(
            RowWiseAdagrad, collection.parameters(), {"lr": 1.0, "eps": EPS}
        )
        sharded = _shard(collection, settings, device)
        # in a tuple: the shards are no weights of the module around them
        self._collection = (sharded,)
        self.optimizer: torch.optim.Optimizer = sharded.fused_optimizer
        weight = f"embeddings.{NAME}.weight"
        self.weights = Shards(sharded.state_dict()[weight])
        (sums,) = self.optimizer.state_dict()["state"][weight].values()
        self.sums = Shards(sums)
        self.weights.spread(table.cpu())
        self._read: tuple[Tensor, Tensor] | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """Rows `[n]` int64 of the table, -1 where absent, to vectors `[n, D]`, as `IdEmbedding`."""
        count = len(rows)
        asked = rows.clamp(min=0) if count else rows.new_zeros(1)  # torchrec refuses no rows
        ones = torch.ones(len(asked), dtype=torch.int64, device=rows.device)
        jagged = KeyedJaggedTensor(keys=[FEATURE], values=asked, lengths=ones)
        values: Tensor = self._collection[0](jagged)[FEATURE].values()
        leaf = values.detach().requires_grad_()
        self._read = (values, leaf)
        return leaf[:count]

    def gradient_square(self) -> Tensor:
        """Sum of the squared gradient of the rows that this process read."""
        assert self._read is not None
        leaf = self._read[1]
        if leaf.grad is None:
            leaf.grad = torch.zeros_like(leaf)
        return leaf.grad.square().sum()

    def step(self, shrink: float) -> None:
        """Moves the rows that the last forward pass read, by their gradients times `shrink`."""
        assert self._read is not None
        values, leaf = self._read
        gradient = leaf.grad if leaf.grad is None or shrink >= 1 else leaf.grad * shrink
        values.backward(gradient)  # type: ignore[no-untyped-call]
        self._read = None


def _shard(collection: EmbeddingCollection, settings: TableSettings, device: torch.device) -> Any:
    """The collection over all processes, as torchrec's planner places it.

    Whole rows only: row-wise Adagrad on pieces of rows would be another rule than one process's.
    """
    kernels = None
    if settings.kernel != "auto":
        kernels = [EmbeddingComputeKernel(settings.kernel).value]
    ways = ["row_wise", "table_wise"] if settings.sharding == "auto" else [settings.sharding]
    constraints = ParameterConstraints(
        sharding_types=ways,
        compute_kernels=kernels,
        cache_params=CacheParams(load_factor=settings.cache_share),
    )
    logging.getLogger("torchrec").setLevel(logging.ERROR)  # it warns of itself at every start
    set_gradient_division(False)  # losses are parts of one mean: gradients add up
    sharder = EmbeddingCollectionSharder()
    planner = EmbeddingShardingPlanner(
        topology=Topology(world_size=world().size, compute_device=device.type),
        constraints={NAME: constraints},
    )
    group = distributed.group.WORLD
    assert group is not None
    try:
        plan = planner.collective_plan(nn.ModuleDict({"tables": collection}), [sharder], group)
    except PlannerError as error:
        raise ResourceFault(
            f"the id table does not fit the devices: {str(error).splitlines()[0]}",
            where="train.table",
            fix="more processes, or train.table.kernel=fused_uvm_caching on GPUs",
        ) from None
    placed = plan.plan["tables"]
    env = ShardingEnv.from_process_group(group)
    return shard(collection, placed, env=env, device=device, sharder=sharder)

"""Row-wise Adagrad by hand, against a loop and fbgemm; schedules; clipping; what decays."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.training import optimizers
from recsys.training.optimizers import OptimizerSettings, RowWiseAdagrad, Schedule


def sparse(rows: list[int], values: Tensor, height: int) -> Tensor:
    shape = (height, values.shape[1])
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, shape, check_invariants=True)


def test_golden_row_wise_adagrad() -> None:
    # Row 1 of zeros, gradient (3, 4), rate 0.5: sum = (9 + 16) / 2 = 12.5, step .5 * g / sqrt 12.5.
    # Then gradient (0, 5): sum = 12.5 + 12.5 = 25, step .5 * (0, 5) / 5 = (0, .5).
    table = nn.Parameter(torch.zeros(2, 2))
    optimizer = RowWiseAdagrad([table], lr=0.5, eps=0.0)
    table.grad = sparse([1], torch.tensor([[3.0, 4.0]]), 2)
    optimizer.step()
    first = torch.tensor([3.0, 4.0]) * -0.5 / math.sqrt(12.5)
    torch.testing.assert_close(table.data, torch.stack([torch.zeros(2), first]))
    table.grad = sparse([1], torch.tensor([[0.0, 5.0]]), 2)
    optimizer.step()
    torch.testing.assert_close(table.data[1], first - torch.tensor([0.0, 0.5]))
    assert optimizer.state[table]["sum"].tolist() == [0, 25]


def steps(height: int = 6, width: int = 4) -> list[tuple[list[int], Tensor]]:
    random = torch.Generator().manual_seed(0)
    return [
        (rows, torch.randn(len(rows), width, generator=random))
        for rows in ([0, 3], [3, 3, 1], [5, 0, 5, 2])
    ]


def test_row_wise_adagrad_equals_a_dense_loop() -> None:
    torch.manual_seed(0)
    table = nn.Parameter(torch.randn(6, 4))
    expected, sums = table.detach().clone(), torch.zeros(6)
    optimizer = RowWiseAdagrad([table], lr=0.1)
    for rows, values in steps():
        table.grad = sparse(rows, values, 6)
        optimizer.step()
        dense = torch.zeros(6, 4)
        for row, value in zip(rows, values, strict=True):
            dense[row] += value
        for row in set(rows):
            sums[row] += (dense[row] ** 2).mean()
            expected[row] -= 0.1 * dense[row] / (sums[row].sqrt() + 1e-8)
    torch.testing.assert_close(table.data, expected)


def test_row_wise_adagrad_equals_fbgemm() -> None:
    fbgemm = pytest.importorskip("fbgemm_gpu.split_table_batched_embeddings_ops_training")
    common = pytest.importorskip("fbgemm_gpu.split_table_batched_embeddings_ops_common")
    config = pytest.importorskip("fbgemm_gpu.split_embedding_configs")
    torch.manual_seed(0)
    theirs = fbgemm.SplitTableBatchedEmbeddingBagsCodegen(
        [(6, 4, common.EmbeddingLocation.HOST, fbgemm.ComputeDevice.CPU)],
        optimizer=config.EmbOptimType.EXACT_ROWWISE_ADAGRAD,
        learning_rate=0.1, eps=1e-8, pooling_mode=common.PoolingMode.NONE,
    )  # fmt: skip
    weight = theirs.split_embedding_weights()[0]
    weight.data.normal_()
    table = nn.Parameter(weight.detach().clone())
    optimizer = RowWiseAdagrad([table], lr=0.1)
    for rows, values in steps():
        found = theirs(torch.tensor(rows), torch.arange(len(rows) + 1))
        found.backward(values)
        table.grad = sparse(rows, values, 6)
        optimizer.step()
    torch.testing.assert_close(table.data, theirs.split_embedding_weights()[0].detach())


def test_rows_without_a_gradient_are_not_touched() -> None:
    table = nn.Parameter(torch.randn(6, 4))
    before = table.detach().clone()
    optimizer = RowWiseAdagrad([table], lr=0.1)
    optimizer.step()
    table.grad = sparse([2], torch.ones(1, 4), 6)
    optimizer.step()
    assert (table.data != before).any(1).tolist() == [False, False, True, False, False, False]
    with pytest.raises(ValueError, match="closure"):
        optimizer.step(lambda: 0.0)


def test_golden_schedule() -> None:
    # 4 warm-up steps: 1/5, 2/5, ...; a cosine over the 10 steps after it, from 1 to 0.1
    chosen = Schedule(4, 14, "cosine")
    found = [chosen.factor(step, 0) for step in (0, 1, 4, 9, 14, 99)]
    assert found == pytest.approx([0.2, 0.4, 1.0, 0.55, 0.1, 0.1])
    flat = Schedule(0, 14, "constant")
    assert [flat.factor(step, 0) for step in (0, 13, 99)] == [1, 1, 1]
    falling = Schedule(0, 14, "plateau")
    assert [falling.factor(5, drops) for drops in (0, 1)] == [1, 0.2]


@given(st.integers(0, 500), st.integers(0, 300), st.integers(1, 400))
def test_rates_stay_between_zero_and_their_peak(step: int, warmup: int, total: int) -> None:
    for decay in ("constant", "cosine"):
        assert 0 < Schedule(warmup, total, decay).factor(step, 1) <= 1


def built() -> two_tower.TwoTower:
    features = ItemFeatures((), {}, torch.ones(5, 1, dtype=torch.bool))
    return two_tower.build(two_tower.ModelSettings(width=8), features, ("view",), 0)


@pytest.mark.parametrize("table", ["rowwise_adagrad", "sparse_adam"])
def test_every_weight_is_in_one_optimiser_and_only_matrices_decay(table: str) -> None:
    model = built()
    chosen = OptimizerSettings(table=table, learning_rate=2e-3, table_learning_rate=0.3)  # type: ignore[arg-type]
    both = optimizers.build(model, chosen)
    groups = [group for optimizer in both for group in optimizer.param_groups]
    listed = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(listed) == sorted(id(weight) for weight in model.parameters())
    assert all(weight.dim() >= 2 for weight in groups[0]["params"])
    assert [group.get("weight_decay", 0) for group in groups] == [0.01, 0, 0]
    optimizers.set_rates(both, chosen, 0.5)
    assert [group["lr"] for group in groups] == [1e-3, 1e-3, 0.15]


def test_norm_and_scaling_of_dense_and_sparse_gradients() -> None:
    # gradients (3), and rows 2 of (4), given twice as (1) and (3): norm sqrt(9 + 16) = 5
    model = nn.ParameterList([nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(3, 1))])
    model[0].grad = torch.tensor([3.0])
    model[1].grad = sparse([2, 2], torch.tensor([[1.0], [3.0]]), 3)
    assert optimizers.gradient_norm(model).item() == 5
    optimizers.scale_gradients(model, 0.2)
    assert optimizers.gradient_norm(model).item() == pytest.approx(1)
    assert model[0].grad.item() == pytest.approx(0.6)

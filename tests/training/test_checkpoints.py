"""Checkpoints: round trip, the newest complete one, what is kept, what is compared."""

from pathlib import Path

import pytest
import torch
from torch import nn

from recsys.errors import MismatchFault
from recsys.training import checkpoints
from recsys.training.checkpoints import Checkpoint
from recsys.training.optimizers import RowWiseAdagrad


def saved(root: Path, *steps: int) -> None:
    for step in steps:
        checkpoint = Checkpoint({"weight": torch.full((2,), float(step))}, {"step": step, "a": [1]})
        checkpoints.save(root, step, checkpoint)


def test_round_trip_of_the_newest_and_only_two_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 5, 90, 100)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.values == {"step": 100, "a": [1]}
    assert found.tensors["weight"].tolist() == [100, 100]
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert names == ["step-00000090", "step-00000100"]


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    weight = torch.arange(6.0)
    views = {"all": weight, "twice": weight, "part": weight.view(2, 3).T}
    checkpoints.save(tmp_path, 1, Checkpoint(views, {}))
    found = checkpoints.newest(tmp_path)
    assert found is not None
    for name, view in views.items():
        assert torch.equal(found.tensors[name], view)


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    assert checkpoints.newest(tmp_path / "missing") is None


def test_empty_truncated_and_flipped_ones_are_skipped_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path, 10, 20)
    (tmp_path / "step-00000999").mkdir()
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.values["step"] == 20
    assert "step-00000999 is skipped" in capsys.readouterr().err
    path = tmp_path / "step-00000020" / checkpoints.TENSORS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    for damage in (bytes(data), bytes(data[:-3])):
        path.write_bytes(damage)
        found = checkpoints.newest(tmp_path)
        assert found is not None
        assert found.values["step"] == 10
        assert "step-00000020 is skipped" in capsys.readouterr().err


def test_saving_again_outlives_an_empty_newest_folder(tmp_path: Path) -> None:
    (tmp_path / "step-00000999").mkdir()
    saved(tmp_path, 10, 20, 30)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.values["step"] == 30


def test_clear(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    checkpoints.clear(tmp_path)
    assert checkpoints.newest(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_differences_are_named_with_both_values(tmp_path: Path) -> None:
    old = {"training": {"seed": 1, "rate": 0.1}, "data": "x"}
    checkpoints.compare(old, {"training": {"seed": 1, "rate": 0.1}, "data": "x"}, tmp_path)
    with pytest.raises(MismatchFault) as fault:
        checkpoints.compare(old, {"training": {"seed": 2}, "data": "x"}, tmp_path)
    assert fault.value.exit_code == 6
    assert (
        fault.value.value == "training.rate: nothing instead of 0.1; training.seed: 2 instead of 1"
    )


@pytest.mark.parametrize("kind", ["adamw", "adagrad", "sparse_adam"])
def test_optimisers_go_on_as_if_never_stopped(kind: str) -> None:
    def make(weight: nn.Parameter) -> torch.optim.Optimizer:
        match kind:
            case "adamw":
                return torch.optim.AdamW([weight], fused=True)
            case "adagrad":
                return RowWiseAdagrad([weight], lr=0.1)
            case _:
                return torch.optim.SparseAdam([weight])

    def step(optimizer: torch.optim.Optimizer, weight: nn.Parameter, seed: int) -> None:
        values = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
        dense = torch.zeros(4, 3)
        dense[1:3] = values
        places = torch.tensor([[1, 2]])
        weight.grad = dense
        if kind != "adamw":
            weight.grad = torch.sparse_coo_tensor(places, values, (4, 3), check_invariants=True)
        optimizer.step()

    straight = nn.Parameter(torch.ones(4, 3))
    first = make(straight)
    step(first, straight, 0)
    step(first, straight, 1)
    state = {name: value.clone() for name, value in checkpoints.optimizer_tensors([first]).items()}
    resumed = nn.Parameter(straight.detach().clone())
    second = make(resumed)
    checkpoints.restore_optimizers([second], state)
    for seed in (2, 3):
        step(first, straight, seed)
        step(second, resumed, seed)
    assert torch.equal(straight, resumed)


def test_random_states_come_back() -> None:
    device = torch.device("cpu")
    with torch.random.fork_rng(devices=[]):
        state = checkpoints.random_tensors(device)
        expected = torch.rand(3)
        checkpoints.restore_random(state, device)
        assert torch.equal(torch.rand(3), expected)

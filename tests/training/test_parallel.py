"""Two and more processes learn what one learns, and go on where any number of them stopped."""

import dataclasses
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys import distributed
from recsys.distributed import ProcessSettings, World
from recsys.errors import ResourceFault, UsageFault
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings, TwoTower
from recsys.training import trainer
from recsys.training.batches import Batches, BatchSettings
from recsys.training.trainer import FitResult, TrainingData, TrainingSettings
from recsys.user_columns import UserColumn

N, USERS, STEPS = 37, 60, 10
PATIENCE = 60.0  # seconds; of the machine's worst day
COLUMNS = (UserColumn(name="city", values=("Paris", "Lyon")),)
PEOPLE = np.arange(USERS)[:, None] % 3 - 1  # Paris, Lyon, or nobody knows


@dataclasses.dataclass(frozen=True)
class Log:
    offsets: np.ndarray
    items: np.ndarray
    events: np.ndarray
    times: np.ndarray
    weights: np.ndarray


def log() -> Log:
    random = np.random.default_rng(0)
    lengths = random.integers(2, 9, USERS)
    events = int(lengths.sum())
    return Log(
        np.concatenate([[0], np.cumsum(lengths)]),
        random.integers(0, N, events),
        np.ones(events, np.int64),
        np.concatenate([np.arange(length) * 40_000 for length in lengths]),
        np.ones(events, np.float32),
    )


def catalogue() -> ItemFeatures:
    random = torch.Generator().manual_seed(0)
    present = torch.rand(N, 2, generator=random) < 0.8  # some without text, some without id
    present[:, 0] |= ~present.any(dim=1)
    return ItemFeatures(("text",), {"text": torch.randn(N, 3, generator=random)}, present)


def trained(folder: Path, resume: bool, **changes: Any) -> tuple[TwoTower, FitResult]:
    items = {"id_dropout": 0.0, "modality_dropout": 0.0}  # each process draws its own
    users = {"max_length": 8, "blocks": 1, "expansion": 2, "dropout": 0.0, "attribute_dropout": 0.0}
    chosen = ModelSettings.model_validate({
        "width": 8, "items": items, "users": users,
    })  # fmt: skip
    settings = TrainingSettings.model_validate({
        "epochs": 5, "device": "cpu", "patience": 99, "precision": "float32",  # also on AMX
        "batches": {"batch_events": 40, "negatives": 5},
        "optimizer": {"warmup_steps": 2, "clip_norm": 0.2}, **changes,
    })  # fmt: skip
    model = two_tower.build(chosen, catalogue(), ("view",), 0, COLUMNS)
    data = TrainingData(catalogue(), log(), people=PEOPLE)
    result = trainer.fit(
        model, data, lambda whole: float(whole.items(catalogue()).sum()), settings, folder,
        lambda metrics, step: None, resume,
    )  # fmt: skip
    return model, result


def process(rank: int, size: int, port: int, folder: str, stop: int) -> None:
    """What each of the spawned processes does: trains on from the folder's checkpoint."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with distributed.joined(ProcessSettings(timeout_seconds=PATIENCE)):
        trained(Path(folder), True, stop_after_steps=stop)


def together(size: int, folder: Path, stop: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (size, port, str(folder), stop)
    torch.multiprocessing.start_processes(process, arguments, nprocs=size, start_method="spawn")


def same(one: tuple[TwoTower, FitResult], other: tuple[TwoTower, FitResult]) -> None:
    assert len(other[1].losses) == len(one[1].losses)
    np.testing.assert_allclose(other[1].losses, one[1].losses, atol=1e-5)
    for name, weight in one[0].state_dict().items():
        torch.testing.assert_close(other[0].state_dict()[name], weight, atol=1e-4, rtol=1e-3)


def test_two_processes_learn_what_one_does_and_one_goes_on(tmp_path: Path) -> None:
    straight = trained(tmp_path / "one", False, stop_after_steps=STEPS + 5)
    trained(tmp_path / "two", False, stop_after_steps=1)
    together(2, tmp_path / "two", STEPS + 2)
    same(straight, trained(tmp_path / "two", True, stop_after_steps=STEPS + 5))


@pytest.mark.slow
def test_checkpoints_move_from_one_to_four_to_three_to_one(tmp_path: Path) -> None:
    straight = trained(tmp_path / "one", False, stop_after_steps=20)
    trained(tmp_path / "many", False, stop_after_steps=1)
    for size, stop in ((4, STEPS + 1), (2, STEPS + 4), (3, STEPS + 7)):
        together(size, tmp_path / "many", stop)
    same(straight, trained(tmp_path / "many", True, stop_after_steps=20))


def test_shares_of_a_batch_put_together_are_the_batch() -> None:
    settings = BatchSettings(batch_events=40, negatives=5)
    batches = Batches(log(), N, 8, settings, 0, people=PEOPLE)
    batch = next(batches.epoch(0))
    length = batch.mask.shape[1]
    parts = [batch.share(rank, 3) for rank in range(3)]
    pairs = {
        (int(part.users[place // length]), int(place % length), int(target))
        for part in parts
        for place, target in zip(part.places, part.targets, strict=True)
    }
    wanted = {
        (int(batch.users[place // length]), int(place % length), int(target))
        for place, target in zip(batch.places, batch.targets, strict=True)
    }
    assert pairs == wanted
    assert sum(len(part.places) for part in parts) == len(batch.places)
    assert sorted(user for part in parts for user in part.users.tolist()) == sorted(
        batch.users.tolist()
    )
    for part in parts:
        assert part.people is not None
        np.testing.assert_array_equal(part.people, PEOPLE[part.users])
    assert all(part.item_rows is batch.item_rows for part in parts)


def test_who_this_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.world() == World(0, 1, 0)
    assert distributed.world().first
    monkeypatch.setenv("RANK", "5")
    assert distributed.world().size == 1  # half a place is none
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.world() == World(5, 8, 1)
    assert not distributed.world().first
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(UsageFault, match="no place"):
        distributed.world()


def test_a_process_that_nobody_joins_ends_within_its_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    places = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    settings = ProcessSettings(timeout_seconds=1.0)
    with pytest.raises(ResourceFault, match="gone"), distributed.joined(settings):
        pass

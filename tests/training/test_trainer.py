"""Training runs: planted answers, exact resuming, a loss that is not finite, early stopping."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from recsys.errors import InputFault, MismatchFault
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings, TwoTower
from recsys.training import checkpoints, trainer
from recsys.training.run import Run
from recsys.training.trainer import FitResult, TrainingData, TrainingSettings

N, USERS, LENGTH = 12, 40, 9


@dataclass(frozen=True)
class Log:
    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def log(items: npt.NDArray[np.int64]) -> Log:
    users, length = items.shape
    return Log(
        offsets=np.arange(users + 1) * length,
        items=items.ravel(),
        events=np.ones(items.size, np.int64),
        times=np.tile(np.arange(length) * 60, users),
        weights=np.ones(items.size, np.float32),
    )


def cycles() -> npt.NDArray[np.int64]:
    """Users walk round a fixed circle of all items, each from a start of its own."""
    circle = np.random.default_rng(7).permutation(N)
    return circle[(np.arange(USERS)[:, None] + np.arange(LENGTH)) % N]


def catalogue() -> ItemFeatures:
    text = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    return ItemFeatures(("text",), {"text": text}, torch.ones(N, 2, dtype=torch.bool))


def built(**users: Any) -> TwoTower:
    chosen = ModelSettings.model_validate(
        {"width": 16, "users": {"max_length": 6, "blocks": 1, "expansion": 2, **users}}
    )
    return two_tower.build(chosen, catalogue(), ("view",), 0)


def chosen(batches: Mapping[str, Any] | None = None, **changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({
        "epochs": 5, "patience": 99, "patience_steps": 0, "device": "cpu",
        "batches": {"batch_events": 40, "negatives": 4, **(batches or {})},
        "optimizer": {"warmup_steps": 3, "table_learning_rate": 0.05}, **changes,
    })  # fmt: skip


def recall_at_1(history: Log) -> Callable[[TwoTower], float]:
    """Share of users whose last item is the first answer to the events before it."""
    items = torch.from_numpy(history.items.reshape(-1, LENGTH))
    times = torch.from_numpy(history.times.reshape(-1, LENGTH))

    def measure(model: TwoTower) -> float:
        with torch.no_grad():
            vectors = model.items(catalogue())
            ones = torch.ones(len(items), LENGTH - 1, dtype=torch.int64)
            ages = times[:, -1:] - times[:, :-1]
            users = model.user_vectors(vectors[items[:, :-1]], ones, ages, ones.bool())
        return float(((users @ vectors.T).argmax(1) == items[:, -1]).float().mean())

    return measure


def quiet(metrics: Mapping[str, float], step: int) -> None:
    pass


def fitted(
    model: TwoTower,
    settings: TrainingSettings,
    folder: Path | None = None,
    resume: bool = False,
    items: npt.NDArray[np.int64] | None = None,
) -> FitResult:
    history = log(cycles() if items is None else items)
    measure = recall_at_1(history)
    data = TrainingData(catalogue(), history)
    return trainer.fit(model, data, measure, settings, folder, quiet, resume)


@pytest.mark.parametrize("candidates", ["in_batch", "mixed", "full"])
@pytest.mark.parametrize("kind", ["transformer", "attention"])
def test_a_planted_order_is_found(kind: str, candidates: str) -> None:
    model = built(kind=kind)
    settings = chosen({"candidates": candidates, "mask_history": False}, epochs=25)
    result = fitted(model, settings)
    assert recall_at_1(log(cycles()))(model) > 0.95
    assert np.mean(result.losses[-5:]) < np.mean(result.losses[:5])


def test_bfloat16_finds_it_too() -> None:
    model = built()
    fitted(model, chosen({"mask_history": False}, epochs=25, precision="bfloat16"))
    assert recall_at_1(log(cycles()))(model) > 0.95


def test_training_needs_nothing_heavier_than_torch() -> None:
    code = (
        "import sys, recsys.training.trainer, recsys.models.saved;"
        "print({'polars', 'pyarrow', 'faiss', 'transformers', 'timm', 'torchrec', 'mlflow'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_shuffled_targets_fall_to_chance() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, N, (USERS * 5, LENGTH))
    model = built()
    fitted(model, chosen(epochs=3), items=noise)
    fresh = log(random.integers(0, N, (2000, LENGTH)))
    # chance is 1 / 12 = .083; four standard deviations of 2,000 draws are .025
    assert recall_at_1(fresh)(model) == pytest.approx(1 / N, abs=0.03)


@pytest.mark.parametrize("stop", [1, 7, 30, 45])
def test_a_stopped_and_resumed_run_ends_with_the_same_bits(tmp_path: Path, stop: int) -> None:
    batches = {"batch_events": 48}
    straight, resumed = built(dropout=0.2), built(dropout=0.2)
    whole = fitted(straight, chosen(batches, epochs=9), tmp_path / "a")
    assert whole.step > 60
    assert whole.finished
    first = fitted(resumed, chosen(batches, epochs=9, stop_after_steps=stop), tmp_path / "b")
    assert not first.finished
    assert first.step == stop
    resumed = built(dropout=0.2)
    torch.manual_seed(99)  # the process that resumes has another past
    second = fitted(
        resumed, chosen(batches, epochs=9, checkpoint_steps=7), tmp_path / "b", resume=True
    )
    assert second.losses == whole.losses
    assert second.epochs == whole.epochs
    assert second.best_epoch == whole.best_epoch
    for name, weight in straight.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_resuming_a_finished_run_gives_its_model_and_trains_no_more(tmp_path: Path) -> None:
    model, again = built(), built()
    whole = fitted(model, chosen(epochs=2), tmp_path)
    repeated = fitted(again, chosen(epochs=2), tmp_path, resume=True)
    assert repeated.losses == whole.losses
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_resuming_skips_a_damaged_newest_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight, resumed = built(), built()
    fitted(straight, chosen(), tmp_path / "a")
    settings = chosen(checkpoint_steps=4, stop_after_steps=14)
    fitted(built(), settings, tmp_path / "b")
    (tmp_path / "b" / "step-00000014" / checkpoints.TENSORS).write_bytes(b"")
    (tmp_path / "b" / "step-00000999").mkdir()
    fitted(resumed, chosen(), tmp_path / "b", resume=True)
    assert capsys.readouterr().err.count("is skipped") == 2
    for name, weight in straight.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_other_settings_model_or_data_are_not_resumed(tmp_path: Path) -> None:
    fitted(built(), chosen(stop_after_steps=3), tmp_path)
    with pytest.raises(MismatchFault, match=r"training\.seed: 1 instead of 0"):
        fitted(built(), chosen(seed=1), tmp_path, resume=True)
    with pytest.raises(MismatchFault, match=r"model\.users\.heads: 1 instead of 2"):
        fitted(built(heads=1), chosen(), tmp_path, resume=True)
    with pytest.raises(MismatchFault, match="data"):
        fitted(built(), chosen(), tmp_path, resume=True, items=cycles()[::-1])


def test_starting_anew_removes_older_checkpoints(tmp_path: Path) -> None:
    fitted(built(), chosen(stop_after_steps=20), tmp_path)
    fitted(built(), chosen(stop_after_steps=3), tmp_path)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.values["result"]["step"] == 3


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(tmp_path: Path) -> None:
    model = built()
    fitted(model, chosen(stop_after_steps=7), tmp_path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    features = catalogue()
    features.values["text"][5, 1] = torch.inf
    history = log(cycles())
    with pytest.raises(InputFault, match="not finite") as fault:
        trainer.fit(
            model,
            TrainingData(features, history),
            recall_at_1(history),
            chosen(),
            tmp_path,
            quiet,
            resume=True,
        )
    assert fault.value.where.startswith("step 7, histories of the users with rows ")
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert all(torch.isfinite(value.float()).all() for value in found.tensors.values())


def test_training_stops_after_patience_and_keeps_the_best_epoch() -> None:
    metrics = iter([0.1, 0.5, float("nan"), 0.5, 0.9])
    states = []

    def validate(model: TwoTower) -> float:
        assert not model.training
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(metrics)

    model = built()
    settings = chosen(patience=2, optimizer={"decay": "constant"})
    result = trainer.fit(
        model, TrainingData(catalogue(), log(cycles())), validate, settings, None, quiet
    )
    assert result.best_epoch == 1
    assert result.best_metric == 0.5
    assert len(result.epochs) == 4
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, states[1][name]), name


def test_short_epochs_need_more_of_them_before_training_stops() -> None:
    # after .5 two idle epochs would be enough, but they are too few steps
    metrics = iter([0.5, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.9])
    data, optimizer = TrainingData(catalogue(), log(cycles())), {"decay": "constant"}
    epoch = Run(built(), data, chosen(), None).batches.count(0)
    settings = chosen(patience=2, patience_steps=3 * epoch + 1, epochs=30, optimizer=optimizer)
    result = trainer.fit(built(), data, lambda _: next(metrics), settings, None, quiet)
    assert len(result.epochs) == 9
    assert result.best_epoch == 4


def test_on_a_plateau_it_goes_back_to_the_best_weights_with_smaller_steps() -> None:
    metrics = iter([0.1, 0.5, 0.3, 0.2, 0.4, 0.6, 0.1, 0.2, 0.9])
    model = built()
    settings = chosen(patience=2, epochs=30, optimizer={"warmup_steps": 0, "decay": "plateau"})
    result = trainer.fit(
        model,
        TrainingData(catalogue(), log(cycles())),
        lambda _: next(metrics),
        settings,
        None,
        quiet,
    )
    # .5 is the best; two epochs later the rates fall; .6 after that; two idle ones end it
    assert [epoch.metric for epoch in result.epochs] == [0.1, 0.5, 0.3, 0.2, 0.4, 0.6, 0.1, 0.2]
    assert (result.drops, result.drop_epoch, result.best_epoch) == (1, 4, 5)


def test_a_warm_up_takes_an_epoch_at_most() -> None:
    # the training of a small log would else be over before rates are what they shall be
    for wanted in (3, 10_000):
        settings = chosen(optimizer={"warmup_steps": wanted})
        run = Run(built(), TrainingData(catalogue(), log(cycles())), settings, None)
        epoch = run.batches.count(0)
        assert 3 < epoch < 10_000
        assert run.schedule.factor(0, 0) == 1 / (min(wanted, epoch) + 1)
        assert run.schedule.factor(epoch, 0) == 1


def test_catching_up_learns_what_came_after_training() -> None:
    # training saw one circle; since then users walk another one
    model = built()
    fitted(model, chosen({"mask_history": False}, epochs=10))
    other = np.random.default_rng(8).permutation(N)
    walks = other[(np.arange(USERS)[:, None] + np.arange(LENGTH)) % N]
    history = log(walks)
    before = recall_at_1(history)(model)
    settings = chosen({"mask_history": False}, catch_up_epochs=40, catch_up_rate=1.0)
    again = built()
    again.load_state_dict(model.state_dict())
    data = TrainingData(catalogue(), history, since_seconds=0)
    assert trainer.catch_up(model, data, settings) > 0
    assert not model.training
    assert recall_at_1(history)(model) > max(0.9, before + 0.3)
    trainer.catch_up(again, data, settings)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_nothing_to_catch_up_with_moves_nothing() -> None:
    model = built()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = TrainingData(catalogue(), log(cycles()), since_seconds=10**6)
    assert trainer.catch_up(model, data, chosen()) == 0
    assert trainer.catch_up(model, replace(data, since_seconds=0), chosen(catch_up_epochs=0)) == 0
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_nothing_to_learn_from_is_refused() -> None:
    single = Log(
        np.arange(3), np.arange(2), np.ones(2, np.int64), np.arange(2), np.ones(2, np.float32)
    )
    with pytest.raises(InputFault, match="nothing to learn"):
        trainer.fit(
            built(), TrainingData(catalogue(), single), lambda _: 0.0, chosen(), None, quiet
        )


def test_reports_and_the_global_generator(tmp_path: Path) -> None:
    seen: list[tuple[int, set[str]]] = []
    torch.manual_seed(3)
    before = torch.get_rng_state()
    history = log(cycles())
    result = trainer.fit(
        built(), TrainingData(catalogue(), history), recall_at_1(history), chosen(epochs=1), None,
        lambda metrics, step: seen.append((step, set(metrics))),
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert seen[0] == (1, {"loss", "events"})
    assert seen[-1] == (result.step, {"epoch_loss", "validation"})
    assert result.epochs[0].loss == pytest.approx(np.mean(result.losses))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_finds_the_planted_order_too() -> None:
    model = built()
    history = log(cycles())
    measure = recall_at_1(history)
    settings = chosen({"mask_history": False}, epochs=25, device="cuda")

    def validate(trained: TwoTower) -> float:
        value = measure(trained.cpu())
        trained.cuda()
        return value

    trainer.fit(model, TrainingData(catalogue(), history), validate, settings, None, quiet)
    assert measure(model.cpu()) > 0.95

"""`recsys tune` on a tiny shop: its budget, what it takes up again, and what it writes."""

import json
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from pipelines import cli, lessons, tune_space
from pipelines.settings import Settings
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.errors import InputFault
from recsys.training.run import Epoch, FitResult

TINY = ShopSettings(
    items=100, users=60, days=14, events=1200, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
FITTING = lessons.fit
METRIC = "validation_recall_at_10"
Fit = Callable[..., Any]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a work folder with an ingested and encoded shop."""
    root = tmp_path_factory.mktemp("tune")
    write_shop(TINY, root / "shop")
    chosen = [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=1", "model.width=16",
        "features.video.frames=4", "lists.candidates.count=20",
    ]  # fmt: skip
    assert cli.invoke(["ingest", *chosen]) == 0
    assert cli.invoke(["encode", *chosen]) == 0
    return chosen


def work(chosen: list[str]) -> Path:
    return Path(chosen[0].removeprefix("work="))


@pytest.fixture
def chosen(shop: list[str], tmp_path: Path) -> list[str]:
    """The same shop in a work folder without a study."""
    for name in ("catalogue", "interactions", "embeddings"):
        (tmp_path / name).symlink_to(work(shop) / name)
    return [f"work={tmp_path}", *shop[1:]]


def searched(
    chosen: list[str], capsys: pytest.CaptureFixture[str], *more: str, code: int = 0
) -> dict[str, Any]:
    """Result of `recsys tune --json`."""
    capsys.readouterr()
    assert cli.invoke(["tune", "--json", *more, *chosen]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out) if not code else {}
    return found


def by_number(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials in the order in which they ran, without their seconds."""
    rows = sorted(found["trials"], key=lambda row: row["trial"])
    return [{key: row[key] for key in row if key not in ("seconds", "trial")} for row in rows]


def overrides(row: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in row["settings"].items()]


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as the tables of a TOML file."""
    tables: dict[str, Any] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
        table[last] = value
    return tables


def broken(at: int, error: BaseException) -> Fit:
    """`lessons.fit` that raises `error` at its call number `at`."""
    calls = iter(range(100))

    def fit(*arguments: Any) -> Any:
        if next(calls) == at:
            raise error
        return FITTING(*arguments)

    return fit


def test_it_starts_with_the_given_settings_and_writes_the_best(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = searched(chosen, capsys, "--trials", "3")
    first, *others = by_number(found)
    assert first["settings"] == {}
    assert len(others) == 2
    assert all(row["settings"] for row in others)
    assert found["best"] == found["trials"][0]
    assert found["best"][METRIC] == max(row[METRIC] for row in found["trials"])
    written = tomllib.loads(Path(found["tuned"]).read_text())
    assert written == nested(found["best"]["settings"])
    assert found["overrides"] == overrides(found["best"])
    assert found["command"] == shlex.join(["recsys", "train", *chosen, *found["overrides"]])
    assert not (work(chosen) / "models").exists()


def test_the_printed_settings_train_to_the_same_validation(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = searched(chosen, capsys, "--trials", "2")
    row = next(row for row in found["trials"] if row["settings"])
    assert cli.invoke(["train", "--json", *chosen, *overrides(row)]) == 0
    assert json.loads(capsys.readouterr().out)[METRIC] == row[METRIC]


def test_a_search_goes_on_after_a_kill_as_if_there_had_been_none(
    chosen: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole = searched(chosen, capsys, "--trials", "3")
    (tmp_path / "tuning.db").unlink()
    for at in (0, 1):  # while the given settings train, then while proposed ones do
        monkeypatch.setattr(lessons, "fit", broken(at, KeyboardInterrupt()))
        searched(chosen, capsys, "--trials", "3", code=130)
    monkeypatch.setattr(lessons, "fit", FITTING)
    assert searched(chosen, capsys, "--trials", "2")["study"] == whole["study"]
    assert by_number(searched(chosen, capsys, "--trials", "3")) == by_number(whole)


def test_an_interrupted_search_shows_and_keeps_its_best(
    chosen: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "fit", broken(1, KeyboardInterrupt()))
    assert cli.invoke(["tune", "--trials", "3", *chosen]) == 130
    err = capsys.readouterr().err
    assert "(the given settings)" in err
    assert "the same command again goes on" in err
    assert "trial 0" in (work(chosen) / "tuned.toml").read_text()


def test_unstable_training_is_a_failed_trial_and_the_search_goes_on(
    chosen: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "fit", broken(1, InputFault("the loss is not finite")))
    found = searched(chosen, capsys, "--trials", "3")
    assert [row["state"] for row in by_number(found)] == ["complete", "fail", "complete"]
    assert found["trials"][-1]["message"] == "error: the loss is not finite"
    assert found["trials"][-1][METRIC] is None


def test_without_a_completed_trial_the_first_message_is_told(
    chosen: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "fit", broken(0, InputFault("the loss is not finite")))
    assert cli.invoke(["tune", "--trials", "1", *chosen]) == 3
    assert "the loss is not finite" in capsys.readouterr().err
    assert not (work(chosen) / "tuned.toml").exists()


def test_other_settings_are_another_study_and_searched_ones_are_not(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = searched(chosen, capsys, "--trials", "1")
    other = searched(["train.seed=1", *chosen], capsys, "--trials", "1")
    assert other["study"] != first["study"]
    same = searched([*chosen, "model.users.dropout=0.3"], capsys, "--trials", "2")
    assert same["study"] == first["study"]
    assert [row["settings"] for row in by_number(same)] == [{"model.users.dropout": 0.2}, {}]


def test_what_falls_behind_is_pruned_and_the_given_settings_never_are(
    chosen: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted search: trial n reaches n = 9, 8, ... after each of three epochs."""
    calls = iter(range(9, 0, -1))

    def fit(settings: Settings, lesson: Any, folder: Any, report: Callable[..., None]) -> Any:
        value = next(calls) / 10
        for step in range(4):
            report({"validation": value}, step)
        return None, FitResult(epochs=[Epoch(0.0, value)], best_epoch=0)

    monkeypatch.setattr(lessons, "fit", fit)
    rows = by_number(searched(chosen, capsys, "--trials", "6"))
    assert [row["state"] for row in rows] == ["complete"] * 4 + ["pruned"] * 2
    assert [row["epochs"] for row in rows] == [4] * 4 + [3] * 2
    given = [*chosen, "model.users.dropout=0.31"]
    last = by_number(searched(given, capsys, "--trials", "7"))[-1]
    assert (last["state"], last[METRIC], last["settings"]) == ("complete", 0.3, {})


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (["--trials", "0"], "not positive"),
        (["--trials", "-3"], "not positive"),
        (["--hours", "0"], "not positive"),
        (["--hours", "nan"], "not positive"),
        (["--trials", "3", "--hours", "-1"], "not positive"),
        ([], "has no budget"),
    ],
)
def test_a_budget_must_be_positive(
    budget: list[str], said: str, chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["tune", *budget, *chosen]) == 2
    assert said in capsys.readouterr().err


def test_hours_are_those_of_all_calls(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    hours = str(0.001 / 3600)
    assert len(searched(chosen, capsys, "--hours", hours)["trials"]) == 1
    assert len(searched(chosen, capsys, "--hours", hours, "--trials", "5")["trials"]) == 1


def test_a_damaged_study_is_refused(chosen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (work(chosen) / "tuning.db").write_bytes(b"no database" * 400)
    assert cli.invoke(["tune", "--trials", "1", *chosen]) == 3
    err = capsys.readouterr().err
    assert "tuning.db" in err
    assert "Traceback" not in err


def test_trials_are_tracked_and_a_broken_tracker_fails_none(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tracked = [*chosen, "tracking.enabled=true", "tracking.uri=http://127.0.0.1:9"]
    assert len(searched(tracked, capsys, "--trials", "1")["trials"]) == 1


def test_every_range_names_a_setting_and_holds_its_default() -> None:
    defaults = Settings()
    flat = tune_space.dotted(defaults)
    for key, (values, only) in tune_space.SPACE.items():
        assert values._contains(values.to_internal_repr(flat[key])), key
        assert only is None or only[0] in flat


def test_ranges_hold_the_given_value_and_what_the_heads_allow() -> None:
    given = tune_space.replaced(
        Settings(),
        {"model.width": 96, "model.users.heads": 48, "model.items.id_dropout": 0.9,
         "train.batches.candidates": "full"},
    )  # fmt: skip
    ranges = tune_space.space(given)
    assert ranges["model.width"] == CategoricalDistribution((96,))
    assert ranges["model.items.id_dropout"] == FloatDistribution(0.0, 0.9)
    assert "train.batches.negatives" not in ranges
    assert tune_space.space(Settings())["model.width"] == CategoricalDistribution((32, 64, 128))

"""What a person expects of a command line: a first file, explanations, hints, no stray colours."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipelines import cli
from pipelines.settings import Settings
from recsys import __version__
from recsys.settings import load

AS_RECSYS = "import sys; sys.argv[0] = 'recsys'; from pipelines.cli import main; main()"
ROOT = Path(__file__).parents[2]


def test_init_writes_settings_that_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "my.toml"
    assert cli.invoke(["init", str(path), "--data", "data/shop", "--work", "there"]) == 0
    chosen = {"work": "there", "data": {"folder": "data/shop"}}
    assert tomllib.loads(path.read_text())["data"]["folder"] == "data/shop"
    assert load(Settings, path) == Settings.model_validate(chosen)
    assert "recsys check --config" in capsys.readouterr().out
    assert cli.invoke(["init", str(path)]) == 2
    assert "there already" in capsys.readouterr().err


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; from pipelines import cli; cli.invoke(['nightly', '--help']);"
    found = subprocess.run(
        [sys.executable, "-c", f"{code} sys.exit('torch' in sys.modules)"],
        check=False, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


def test_a_setting_is_explained_with_the_value_that_it_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.invoke(["settings", "--explain", "train.epochs", "train.epochs=3"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("train.epochs = 3 (default 30)")
    assert "at least 1" in told
    assert cli.invoke(["settings", "--json", "--explain", "lists.diversity"]) == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    assert {"lists.diversity.mmr", "lists.diversity.pool"} <= {row["key"] for row in rows}
    change = ["gates.rules.drift.warn=0.2"]
    assert cli.invoke(["settings", "--explain", "gates.rules.drift", *change]) == 0
    assert "gates.rules.drift.warn = 0.2 (default 0.1)" in capsys.readouterr().out


def test_all_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["settings", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["settings"]) > 200


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["settings", "--explain", "train.epoch"], "train.epochs"),
        (["settings", "--explain", "epochs"], "train.epochs"),
        (["train", "trian.epochs=3"], "did you mean 'train'"),
        (["train", "train.batches.batch_event=3"], "did you mean 'batch_events'"),
        (["exlore"], "explore"),
        (["init", "--dta", "x"], "--data"),
    ],
)
def test_did_you_mean(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(arguments) == 2
    assert hint in capsys.readouterr().err


def test_what_is_wrong_with_a_command_line_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "my.toml"
    config.write_text('work = "w"\n[mapping.item]\nfiles = "a.csv"\n')
    assert cli.invoke(["check", "-c", str(config)]) == 2
    assert f"{config}:2: mapping.item" in capsys.readouterr().err
    assert cli.invoke(["nightly", f"work={tmp_path}/w", "--date", "31.10.2026"]) == 2
    assert "write YYYY-MM-DD" in capsys.readouterr().err
    assert cli.invoke(["check", "data.timezone=Berlin"]) == 2
    assert "Value error" not in capsys.readouterr().err


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_RECSYS, *arguments], cwd=ROOT, text=True, capture_output=True,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_version_and_plain_help_where_nobody_looks() -> None:
    assert run("--version").stdout.strip() == __version__
    told = run("--help").stdout
    assert "nightly" in told
    assert "\x1b" not in told


def test_the_shell_completes_commands_and_settings() -> None:
    asked = {"_RECSYS_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    found = run(**asked, COMP_WORDS="recsys ni")
    assert found.stdout.split() == ["nightly"]
    found = run(**asked | {"COMP_CWORD": "2"}, COMP_WORDS="recsys ingest train.epo")
    assert found.stdout.split() == ["train.epochs="]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("OMP_WAIT_POLICY", "PASSIVE"),
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128"),
        ("LRU_CACHE_CAPACITY", "128"),
    ],
)
def test_libraries_wait_and_keep_as_we_say_unless_told_otherwise(name: str, ours: str) -> None:
    code = f"import os, pipelines; print(os.environ[{name!r}])"
    kept = {given: value for given, value in os.environ.items() if given != name}
    for environment, found in ((kept, ours), ({**kept, name: "7"}, "7")):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True,
            env=environment,
        )  # fmt: skip
        assert done.stdout.strip() == found

"""What watches a night from outside: the metrics file, and lines of JSON on stderr."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli, metrics
from recsys import artefacts, progress

LINE = re.compile(r'([a-z_]+)(?:\{([a-z]+)="((?:[^"\\\n]|\\.)*)"\})? (\S+)')
GOOD: dict[str, Any] = {
    "end": "2026-10-30T04:00:00+00:00",
    "exit": 0,
    "total_seconds": 81.5,
    "peak_rss_mib": 512,
    "seconds": {"ingest": 1.5, "lists": 80},
    "lists": {"made": 5, "kept": 95},
    "measures": {"coverage": 0.25, 'odd "name"\n\\': 1.0, "broken": float("nan")},
    "gates": [{"verdict": "pass"}, {"verdict": "pass"}, {"verdict": "warn"}],
}


def read(work: Path) -> dict[tuple[str, str], float]:
    """The samples of a metrics file by name and label's value; every line has to fit the format."""
    found = {}
    for line in (work / metrics.FILE).read_text().splitlines():
        if not line.startswith(("# HELP ", "# TYPE ")):
            match = LINE.fullmatch(line)
            assert match, line
            found[match[1], match[3] or ""] = float(match[4])
    return found


def test_a_night_in_numbers(tmp_path: Path) -> None:
    with artefacts.publishing(tmp_path / "releases", "2026-10-30-x", "release") as staged:
        staged.facts |= {"date": "2026-10-30", "valid_hours": 72, "counts": {"users": 100}}
    metrics.write(tmp_path, GOOD)
    found = read(tmp_path)
    assert found["recsys_night_exit_code", ""] == 0
    assert found["recsys_night_end_seconds", ""] == 1_793_332_800
    assert found["recsys_night_duration_seconds", ""] == 81.5
    assert found["recsys_night_stage_seconds", "lists"] == 80
    assert found["recsys_night_peak_memory_bytes", ""] == 512 * 2**20
    assert found["recsys_night_gates", "pass"] == 2
    assert found["recsys_night_lists", "kept"] == 95
    assert found["recsys_night_measure", "coverage"] == 0.25
    assert found["recsys_night_measure", r"odd \"name\"\n\\"] == 1
    assert ("recsys_night_measure", "broken") not in found
    assert found["recsys_live_date_seconds", ""] == 1_793_318_400
    assert found["recsys_live_valid_seconds", ""] == 72 * 3600
    assert found["recsys_live_users", ""] == 100
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [metrics.FILE]


def test_a_failed_night_keeps_the_time_of_the_last_good_one(tmp_path: Path) -> None:
    metrics.write(tmp_path, GOOD)
    for end in ("2026-10-31T04:00:00+00:00", "2026-11-01T04:00:00+00:00"):
        metrics.write(tmp_path, {"end": end, "exit": 4})
    found = read(tmp_path)
    assert found["recsys_night_exit_code", ""] == 4
    assert found["recsys_night_success_seconds", ""] == 1_793_332_800
    assert found["recsys_night_end_seconds", ""] == 1_793_332_800 + 2 * 86_400
    assert ("recsys_night_stage_seconds", "lists") not in found


def test_every_name_is_in_the_runbook() -> None:
    runbook = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
    for name in metrics.MEANS:
        assert f"`{name}" in runbook


def test_a_night_that_fails_writes_its_metrics(tmp_path: Path) -> None:
    words = ["nightly", f"work={tmp_path}/work", f"data.folder={tmp_path}/none"]
    assert cli.invoke(words) == 3
    assert read(tmp_path / "work")["recsys_night_exit_code", ""] == 3


def test_lines_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["nightly", f"work={tmp_path}/work", f"data.folder={tmp_path}/none"]
    assert cli.invoke(["--log", "json", *words]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    errors = [line["message"] for line in lines if line["level"] == "error"]
    assert "the dataset folder does not exist" in errors[0]
    assert (lines[-1]["status"], lines[-1]["exit"]) == ("failed", 3)
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert cli.invoke(words) == 3
    assert "\nerror: " in capsys.readouterr().err


def test_the_environment_may_ask_for_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_LOG", "json")
    assert cli.invoke(["verify", f"work={tmp_path}"]) == 3
    assert json.loads(capsys.readouterr().err)["level"] == "error"
    monkeypatch.delenv("RECSYS_LOG")
    assert cli.invoke(["--log", "yaml", "verify"]) == 2


def test_progress_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # no bar among lines of JSON
    progress.write_json(True)
    assert list(progress.track(range(2), "encode image", 2)) == [0, 1]
    progress.say('warning: too "few"\nrows')
    progress.write_json(False)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["work"], line["done"], line["total"]) for line in lines[:2]] == [
        ("encode image", 1, 2), ("encode image", 2, 2),
    ]  # fmt: skip
    assert (lines[2]["level"], lines[2]["message"]) == ("warning", 'too "few"\nrows')

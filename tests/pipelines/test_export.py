"""`recsys export` over a published night: files with every row, and what it needs said plainly."""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import cli
from recsys.errors import UsageFault


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_every_row_of_the_live_release(
    site: Any, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf, path = site[0], tmp_path / f"lists.{kind}"
    capsys.readouterr()
    chosen = f"work={shelf.settings.work}"
    assert cli.invoke(["export", kind, "--to", str(path), "--json", chosen]) == 0
    assert json.loads(capsys.readouterr().out)["release"] == shelf.name
    found = pl.read_csv(path) if kind == "csv" else pl.read_ndjson(path)
    assert len(found) == len(shelf.lists.frame)
    assert found.columns == shelf.lists.frame.columns
    assert set(found["user_id"]) == set(shelf.lists.keys)


def test_the_user_tower(site: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    path = tmp_path / "user.onnx"
    assert cli.invoke(["export", "onnx", "--to", str(path), f"work={site[0].settings.work}"]) == 0
    assert path.stat().st_size > 1000


def test_a_library_that_is_missing_is_named(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    to = ["--to", str(tmp_path / "user.onnx")]
    assert cli.invoke(["export", "onnx", *to, f"work={site[0].settings.work}"]) == 2
    assert "pip install 'recsys[onnx]'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "onnx"])
def test_a_folder_is_no_file(
    site: Any, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["export", kind, "--to", str(tmp_path), f"work={site[0].settings.work}"]) == 2
    assert "name a file in it" in capsys.readouterr().err


def test_what_it_needs_is_said(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    work = f"work={site[0].settings.work}"
    assert cli.invoke(["export", "jsonl", work]) == 2
    assert "no file to write" in capsys.readouterr().err
    assert cli.invoke(["export", "redis", "--to", "nowhere", work]) == UsageFault.exit_code
    assert cli.invoke(["export", "postgres", "--to", "host=/nowhere", work]) == 7
    assert "the night before stays" in capsys.readouterr().err

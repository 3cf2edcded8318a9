"""Dockerfile and workflow, as far as they can be tried without Docker and without GitHub."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
COPIES = [line.split()[1:] for line in LINES if line.startswith("COPY ")]


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for *sources, _ in COPIES:
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored), source


def test_what_the_image_copies_makes_the_package(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    for *sources, target in COPIES:
        for source in sources:
            place = tmp_path / target / ("" if (ROOT / source).is_dir() else source)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / source, place)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "d")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert list((tmp_path / "d").glob("recsys-*.whl"))


def test_the_image_is_pinned_and_not_root() -> None:
    starts = [line.split()[1] for line in LINES if line.startswith("FROM ")]
    assert all(":" in image and not image.endswith(":latest") for image in starts)
    assert [line.split()[1] for line in LINES if line.startswith("USER ")][-1] != "root"
    assert not [line for line in LINES if line.startswith("ADD ")]
    entry = next(line for line in LINES if line.startswith("ENTRYPOINT "))
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["recsys"]


def test_the_workflow_runs_what_the_makefile_has() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra `docs`")
    told = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert told["permissions"] == {"contents": "read"}
    steps = told["jobs"]["test"]["steps"]
    assert all(re.fullmatch(r"[\w/-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    made = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = [step["run"].split()[1] for step in steps if step.get("run", "").startswith("make ")]
    assert asked == ["lint", "test"]
    assert set(asked) <= set(made)

"""Twenty kill -9 at random moments of encode, train and nightly: the end is the undisturbed one's.

Slow: `make faults` runs it, the default tests leave it out.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

SHOP = ShopSettings(
    items=200, users=100, days=21, events=4000, photo_side=48, clip_side=32, clip_frames=8, broken=0
)
KILLS = 20


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills") / "shop"
    write_shop(SHOP, folder)
    return folder


def start(shop: Path, work: Path, *command: str) -> "subprocess.Popen[bytes]":
    settings = [
        f"work={work}", f"data.folder={shop}", "tracking.enabled=false", "evaluation.draws=100",
        "split.validation_days=3", "split.test_days=3", "train.epochs=6", "model.width=32",
        "features.image.batch=8", "features.video.batch=4", "train.checkpoint_steps=3",
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *command, *settings],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finished(shop: Path, work: Path, *command: str) -> None:
    assert start(shop, work, *command).wait() == 0


def resuming(work: Path, command: str) -> list[str]:
    """The command again; training goes on where a checkpoint lies."""
    saved = any((work / "checkpoints").glob("step-*/manifest.json"))
    return [command, "--resume"] if command == "train" and saved else [command]


def result(work: Path, command: str) -> Any:
    match command:
        case "encode":
            stores = sorted((work / "embeddings").glob("*/*/manifest.json"))
            return [json.loads(path.read_text())["content"] for path in stores]
        case "train":
            folder, manifest = artefacts.current(work / "models", "model")
            course = json.loads((folder / "training.json").read_text())
            return manifest["content"], course["losses"]
        case _:
            folder, manifest = artefacts.current(work / "releases", "release")
            return folder.name, manifest["content"]


def live(work: Path) -> str | None:
    """Name of the live release, every file of it checked; None before the first."""
    if not artefacts.exists(work / "releases"):
        return None
    return artefacts.current(work / "releases", "release")[0].name


def begin_again(work: Path, before: Path) -> None:
    """Back to where the command started: only the release of the night before, if any."""
    for name in ("embeddings", "models", "checkpoints", "releases"):
        shutil.rmtree(work / name, ignore_errors=True)
    if before.exists():
        shutil.copytree(before, work / "releases")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["encode", "train", "nightly"])
def test_killed_at_random_moments(shop: Path, tmp_path: Path, command: str) -> None:
    clean, work, before = tmp_path / "clean", tmp_path / "work", tmp_path / "before"
    prepare = ("nightly", "--date", "2026-10-28") if command == "nightly" else ("ingest",)
    for place in (clean, work):
        finished(shop, place, *prepare)
    if command == "nightly":
        shutil.copytree(work / "releases", before)
    for place in (clean, work):
        begin_again(place, before)
    yesterday = live(work)
    begin = time.monotonic()
    finished(shop, clean, command)
    seconds = time.monotonic() - begin
    wanted, moments, killed = result(clean, command), random.Random(7), 0
    while killed < KILLS:
        process = start(shop, work, *resuming(work, command))
        try:
            process.wait(moments.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            assert live(work) in (yesterday, live(clean))
        else:  # it was done before the kill: begin again from the start
            assert result(work, command) == wanted
            begin_again(work, before)
    finished(shop, work, *resuming(work, command))
    assert result(work, command) == wanted

"""`torchrun -m pipelines train`: one of two processes is killed, the job ends, three finish it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli import invoke
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

SHOP = ShopSettings(
    items=60, users=60, days=21, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
PATIENCE = 60.0  # seconds; far below gloo's half hour
LINUX = Path("/proc/self/task").exists()


def settings(shop: Path, work: Path) -> list[str]:
    return [
        f"work={work}", f"data.folder={shop}", "tracking.enabled=false", "model.width=16",
        "split.validation_days=3", "split.test_days=3", "train.epochs=4",
        "train.checkpoint_steps=2", "train.batches.batch_events=128",
    ]  # fmt: skip


def torchrun(processes: int, command: list[str]) -> "subprocess.Popen[str]":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [f"--nproc-per-node={processes}", f"--master-port={port}", "-m", "pipelines", *command]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *words], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def workers(job: "subprocess.Popen[str]") -> list[int]:
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="finds the processes in /proc")
def test_a_killed_process_ends_the_job_and_others_go_on(tmp_path: Path) -> None:
    shop, work = tmp_path / "shop", tmp_path / "work"
    write_shop(SHOP, shop)
    chosen = settings(shop, work)
    assert invoke(["ingest", *chosen]) == 0
    assert invoke(["encode", *chosen]) == 0
    job = torchrun(2, ["train", *chosen])
    while not artefacts.exists(work / "checkpoints"):
        assert job.poll() is None
        time.sleep(0.02)
    os.kill(workers(job)[-1], signal.SIGKILL)
    assert job.wait(PATIENCE) != 0
    assert not artefacts.exists(work / "models")
    job = torchrun(3, ["train", *chosen, "--resume", "--json"])
    told, _ = job.communicate(timeout=2 * PATIENCE)
    assert job.returncode == 0
    assert told.count('"model"') == 1  # the first process alone speaks
    assert len(artefacts.versions(work / "models")) == 1
    assert invoke(["evaluate", "evaluation.draws=100", *chosen]) == 0


def test_other_commands_are_refused_in_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert invoke(["ingest", f"work={tmp_path}"]) == 2
    assert "only `train` runs in several processes" in capsys.readouterr().err

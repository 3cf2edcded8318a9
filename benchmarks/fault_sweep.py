"""Kills and failing disks at the system calls of a command; what is live stays whole.

    python benchmarks/fault_sweep.py nightly --mode syscall      # also: random, eio, full
    python benchmarks/fault_sweep.py train --mode random --trials 300

The faults of `faultsweep.py` (strace injects them), without its five seconds of imports a trial:
one process imports everything, every trial is a fork of it that waits until strace holds it.
`full` is a real disk, a tmpfs (by root) of which a file leaves 0 bytes free, and more and more.
A trial is bad if afterwards anything but the complete old or the complete new state is live, if the
command said done and the new one is not, if a failing disk ends with another exit code than 7, or
if the same command again does not end with what an undisturbed run makes.
Prints one JSON line. Results in `RELIABILITY.md` here.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

# a fork finds imported what its command needs
from pipelines import cli, encode, nightly, train, trained  # noqa: F401
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.features import store
from recsys.serving import audit, release

SHOP = ShopSettings(
    items=120, users=60, days=21, events=2500, photo_side=32, clip_side=24, clip_frames=8, broken=0
)
WRITES = ("write", "pwrite64", "writev", "pwritev", "copy_file_range")
SYNCS = ("fsync", "fdatasync")
NAMES = (
    "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir",
    "ftruncate", "link", "linkat", "symlink", "symlinkat",
)  # fmt: skip
FAILING = ("eio", "full")
ACTIONS = {"syscall": "signal=KILL", "eio": "error=EIO"}
CALLS = {"syscall": WRITES + SYNCS + NAMES, "eio": SYNCS}
HUNG_SECONDS = 600.0
DISK_BYTES = 256 * 2**20
FREE, POINTS = "free", 40
# the k-th of a system call, bytes that are free on the disk, or a share of a run's time
Fault = tuple[str, int] | float


class Sweep:
    """A command on a small shop, and how it is run under a fault."""

    def __init__(self, command: str, folder: Path, disk: Path) -> None:
        self.command, self.folder, self.disk = command, folder, disk
        self.base, self.work = folder / "base", disk / "work"
        self.seconds = HUNG_SECONDS  # of the quickest whole run so far
        self.words = [
            f"work={self.work}", f"data.folder={folder / 'shop'}", "tracking.enabled=false",
            "evaluation.draws=100", "split.validation_days=3", "split.test_days=3",
            "model.width=16", "train.epochs=2", "train.checkpoint_steps=2", "champion.rule=always",
            "lists.index.kind=exact", "features.image.batch=16",
            "features.video.batch=8",
        ]  # fmt: skip

    def prepare(self) -> None:
        """The state before the command: for a night and a training, an older one is live."""
        write_shop(SHOP, self.folder / "shop")
        before = {
            "encode": [["ingest"]],
            "train": [["ingest"], ["train", "train.seed=1"]],
            "nightly": [["nightly", "--date", "2026-10-28"]],
        }
        for words in before[self.command]:
            assert self.wait(self.forked(words), HUNG_SECONDS) == 0, words
        shutil.rmtree(self.work / "checkpoints", ignore_errors=True)  # of another training
        shutil.move(self.work, self.base)

    def begin(self) -> None:
        """Back to the state before the command."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.base, self.work, symlinks=True)

    def forked(self, words: list[str], *, stopped: bool = False) -> int:
        """Process id of a fork that runs a command line; `stopped` before it begins."""
        child = os.fork()
        if child:
            if stopped:
                os.waitpid(child, os.WUNTRACED)
            return child
        code = 1
        try:
            os.setsid()
            said = os.open(self.folder / "said", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(said, stream)
            if stopped:
                os.kill(os.getpid(), signal.SIGSTOP)
            code = cli.invoke([*words, *self.words])
        finally:
            os._exit(code)

    def wait(self, process: int, seconds: float) -> int | None:
        """Its exit code, negative for a signal; None where it was still running and was killed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):  # its group, if it came so far
            os.killpg(process, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return None

    def traced(self, *options: str) -> int | None:
        """Runs the command under strace; its exit code."""
        process = self.forked([self.command], stopped=True)
        tracer = self.attached(process, options)
        os.kill(process, signal.SIGCONT)
        code = self.wait(process, HUNG_SECONDS)
        tracer.wait()
        return code

    def attached(self, process: int, options: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        """The strace that holds a stopped process; on a busy machine it may need another try."""
        status = Path(f"/proc/{process}/status")
        for _ in range(10):
            tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(process)])
            while tracer.poll() is None:
                if "TracerPid:\t0\n" not in status.read_text():
                    return tracer
                time.sleep(0.005)
        raise RuntimeError("strace does not attach; see its message above")

    def squeezed(self, free: int) -> int | None:
        """Runs the command with so many bytes free on the disk; its exit code."""
        ballast = self.disk / "ballast"
        with ballast.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(1, self.free() - free))
        code = self.wait(self.forked([self.command]), HUNG_SECONDS)
        ballast.unlink()
        return code

    def free(self) -> int:
        """Bytes that are free where the work folder lies."""
        return shutil.disk_usage(self.disk).free

    def live(self) -> tuple[str, ...]:
        """Names and contents of what is live, every file checked; faults where it is damaged."""
        if self.command == "encode":
            folders = sorted((self.work / "embeddings").glob("*/[!.]*"))
            return tuple(f"{f}/{artefacts.read(f, store.KIND)['content']}" for f in folders)
        kind = {"train": trained.KIND, "nightly": release.KIND}[self.command]
        root = self.work / {"train": "models", "nightly": "releases"}[self.command]
        folder, manifest = artefacts.current(root, kind)
        if self.command == "nightly":
            audit.verify(root)
        return (f"{folder.name}/{manifest['content']}",)

    def again(self) -> list[str]:
        """The command as a person repeats it: a training goes on from its checkpoint."""
        saved = any((self.work / "checkpoints").glob("step-*/manifest.json"))
        return [self.command, *(["--resume"] if self.command == "train" and saved else [])]


def plan(sweep: Sweep, mode: str, trials: int) -> Iterator[Fault]:
    """Every fault of a mode; at most `trials` of them, evenly, where that is not 0."""
    if mode == "random":
        moments = random.Random(0)
        yield from (moments.uniform(0, 1.1) for _ in range(trials or 300))
        return
    sweep.begin()
    if mode == "full":
        before = sweep.free()
        assert sweep.wait(sweep.forked([sweep.command]), HUNG_SECONDS) == 0
        most = 2 * (before - sweep.free())  # what is staged takes more for a while
        yield from ((FREE, most * k // (trials or POINTS)) for k in range(trials or POINTS))
        return
    log = sweep.folder / "calls"
    assert sweep.traced("-o", str(log), "-e", f"trace={','.join(CALLS[mode])}") == 0
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found and found[2] in CALLS[mode]:  # strace also prints calls that it does not know
            counts[found[2], found[1]] += 1
    most = {name: max(n for (call, _), n in counts.items() if call == name) for name, _ in counts}
    points = [(name, k) for name in sorted(most) for k in range(1, most[name] + 1)]
    step = max(1, len(points) // trials) if trials else 1
    yield from points[::step]


def faulted(sweep: Sweep, mode: str, fault: Fault) -> int | None:
    """Runs the command under a fault; its exit code, None where it hung or was killed in time."""
    if isinstance(fault, float):
        start = time.monotonic()
        code = sweep.wait(sweep.forked([sweep.command]), fault * sweep.seconds)
        if code == 0:
            sweep.seconds = min(sweep.seconds, time.monotonic() - start)
        return code
    name, k = fault
    if name == FREE:
        return sweep.squeezed(k)
    inject = f"inject={name}:{ACTIONS[mode]}:when={k}"
    return sweep.traced("-o", os.devnull, "-e", f"trace={name}", "-e", inject)


def in_a_fork(check: Callable[[], bool]) -> bool:
    """Whether a check passes, in a fork: this process stays as it was imported."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    code = 1
    try:
        code = 0 if check() else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def said(sweep: Sweep, file: Path) -> list[str]:
    """What is live now."""
    assert in_a_fork(lambda: bool(file.write_text(json.dumps(sweep.live()))))
    found: list[str] = json.loads(file.read_text())
    return found


def swept(sweep: Sweep, mode: str, trials: int, recover: int) -> dict[str, Any]:
    """All trials of a mode."""
    sweep.prepare()
    file = sweep.folder / "live.json"
    sweep.begin()
    old = said(sweep, file)
    start = time.monotonic()
    assert sweep.wait(sweep.forked([sweep.command]), HUNG_SECONDS) == 0
    sweep.seconds = time.monotonic() - start
    new = said(sweep, file)
    assert new != old
    whole = [old, new] if sweep.command != "encode" else None
    result: dict[str, Any] = {}
    codes: collections.Counter[str] = collections.Counter()
    bad: list[Any] = []
    for number, fault in enumerate(plan(sweep, mode, trials)):
        sweep.begin()
        code = faulted(sweep, mode, fault)
        codes[str(code)] += 1

        def intact(done: bool = code == 0) -> bool:
            now = list(sweep.live())
            if whole is None:  # the stores of an encoding go live one by one
                return now == new if done else set(now) <= set(new)
            return now == new if done else now in whole

        ok = in_a_fork(intact) and (mode not in FAILING or code in {0, 7})
        if ok and number % recover == 0:
            ok = sweep.wait(sweep.forked(sweep.again()), HUNG_SECONDS) == 0
            ok = ok and in_a_fork(lambda: list(sweep.live()) == new)
        if not ok:
            bad.append(fault)
            shutil.copytree(sweep.work, sweep.folder / f"bad-{len(bad)}", dirs_exist_ok=True)
        result = {
            "command": sweep.command, "mode": mode, "trials": number + 1,
            "exit_codes": dict(codes), "bad": len(bad), "bad_at": bad[:20],
            "recovered_every": recover,
        }  # fmt: skip
        (sweep.folder / "result.json").write_text(json.dumps(result))  # a sweep takes an hour
    return result


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs in `folder`."""
    disk = folder / "disk"
    disk.mkdir()
    size = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "recsys", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def main() -> None:
    """Runs one sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["encode", "train", "nightly"])
    parser.add_argument("--mode", choices=["syscall", "random", "eio", "full"], default="random")
    parser.add_argument("--trials", type=int, default=0, help="at most so many; 0 for all")
    parser.add_argument("--recover", type=int, default=1, help="repeat the command in every n-th")
    parser.add_argument("--folder", type=Path, default=Path("work/faults"))
    chosen = parser.parse_args()
    folder = chosen.folder.absolute() / f"{chosen.command}-{chosen.mode}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with small_disk(folder) if chosen.mode == "full" else contextlib.nullcontext(folder) as disk:
        sweep = Sweep(chosen.command, folder, disk)
        result = swept(sweep, chosen.mode, chosen.trials, chosen.recover)
    print(json.dumps(result), flush=True)
    raise SystemExit(bool(result["bad"]))


if __name__ == "__main__":
    main()

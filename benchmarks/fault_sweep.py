"""Kills and failing disks at the system calls of a command; what is live stays whole.

    python benchmarks/fault_sweep.py nightly --mode syscall      # also: random, eio, full, decoder
    python benchmarks/fault_sweep.py train --mode random --trials 300 --resume

One process imports everything, every trial is a fork of it. `syscall` copies the work folder while
the command stands before each call that changes a file: what a kill there leaves, from one run;
`eio` fails each fsync, `random` kills it and its decoders at any moment;
`full` is a real disk, a tmpfs (by root) of which a file leaves 0 bytes free, and more and more;
`decoder` kills the processes in which media are decoded, before, in and after each file.
A trial is bad if afterwards anything but the complete old or the complete new state is live, if the
command said done and the new one is not, if a failing disk ends with another exit code than 7, or
if the same command again does not end with what an undisturbed run makes. Where a decoder is
killed, the command may go on without its file, which the same command again then has.
Each trial is a line of `trials.jsonl`, from which `--resume` goes on.
Prints one JSON line. Results in `RELIABILITY.md` here.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

# a fork finds imported what its command needs
import system_calls
from system_calls import Call

from pipelines import cli, encode, nightly, train, trained  # noqa: F401
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.features import store
from recsys.serving import audit, release

SHOP = ShopSettings(
    items=120, users=60, days=21, events=2500, photo_side=32, clip_side=24, clip_frames=8, broken=0
)
ACTIONS = {"eio": "fail", "decoder": "kill"}
CALLS = {
    "syscall": system_calls.CALLS.keys() - system_calls.BEGINS,
    "eio": system_calls.SYNCS.keys(),
    "decoder": {"write", *system_calls.BEGINS},
}
FINE = {"eio": (0, 7), "full": (0, 7), "decoder": (0, 7)}  # else any exit code
HUNG_SECONDS = system_calls.HUNG_SECONDS
DISK_BYTES = 256 * 2**20
FREE, POINTS = "free", 40
# the k-th system call of a name, bytes that are free on the disk, or a share of a run's time
Fault = tuple[str, int] | float


class Sweep:
    """A command on a small shop, and how it is run under a fault."""

    def __init__(self, command: str, folder: Path, disk: Path | None = None) -> None:
        self.command, self.folder, self.disk = command, folder, disk or folder
        self.base, self.work = folder / "base", self.disk / "work"
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
        if self.command == "train":  # they are another training's
            shutil.rmtree(self.work / "checkpoints", ignore_errors=True)
        shutil.move(self.work, self.base)

    def begin(self) -> None:
        """Back to the state before the command."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.base, self.work, symlinks=True)

    def forked(self, words: list[str], channel: socket.socket | None = None) -> int:
        """Process id of a fork that runs a command line; its system calls ask by `channel`."""
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            os.setsid()
            said = os.open(self.folder / "said", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(said, stream)
            if channel:
                system_calls.listened(channel)
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

    def judged(self, mode: str, judge: Callable[[Call], str]) -> int | None:
        """Runs the command, asking `judge` about the calls of a mode; its exit code."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = self.forked([self.command], theirs)

            def chosen(call: Call) -> str:
                outside = call.name in system_calls.WRITES and not call.file.startswith(
                    str(self.work)
                )
                inside = call.process == process and not outside
                right = inside if mode != "decoder" else call.process != process
                if not right or call.name not in CALLS[mode]:
                    return system_calls.GO
                return judge(call)

            return system_calls.judged(ours, process, chosen)

    def copied(self, call: Call, number: int) -> None:
        """Keeps the work folder as it is before a call, the k-th of its name, nobody writing."""
        system_calls.halted(call.process)
        shutil.copytree(self.work, self.state(call.name, number), symlinks=True)
        os.killpg(call.process, signal.SIGCONT)

    def state(self, name: str, number: int) -> Path:
        """Where the work folder before a call is kept."""
        return self.folder / "states" / f"{name}-{number}"

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
    counts: collections.Counter[str] = collections.Counter()

    def counted(call: Call) -> str:
        counts[call.name] += 1
        if mode == "syscall":
            sweep.copied(call, counts[call.name])
        return system_calls.GO

    assert sweep.judged(mode, counted) == 0
    points = [(name, k) for name in sorted(counts) for k in range(1, counts[name] + 1)]
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
    if mode == "syscall":
        shutil.rmtree(sweep.work)
        sweep.state(name, k).rename(sweep.work)
        return -signal.SIGKILL
    left = k

    def judge(call: Call) -> str:
        nonlocal left
        left -= call.name == name
        return ACTIONS[mode] if call.name == name and left == 0 else system_calls.GO

    return sweep.judged(mode, judge)


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


def begun(sweep: Sweep, mode: str, trials: int) -> dict[str, Any]:
    """The plan of a sweep, what is live before and after the command, and its seconds."""
    sweep.prepare()
    file = sweep.folder / "live.json"
    sweep.begin()
    old = said(sweep, file)
    start = time.monotonic()
    assert sweep.wait(sweep.forked([sweep.command]), HUNG_SECONDS) == 0
    sweep.seconds = time.monotonic() - start
    new = said(sweep, file)
    assert new != old
    faults = list(plan(sweep, mode, trials))
    return {"old": old, "new": new, "seconds": sweep.seconds, "faults": faults}


def harmed(sweep: Sweep, mode: str, code: int | None, begin: dict[str, Any]) -> bool:
    """Whether a fault left anything but a whole state, or ended otherwise than it should."""
    old, new = begin["old"], begin["new"]

    def intact() -> bool:
        now = list(sweep.live())
        if mode == "decoder":  # a store without the files whose decoders were killed is whole
            return True
        if sweep.command == "encode":  # its stores go live one by one
            return now == new if code == 0 else set(now) <= set(new)
        return now == new if code == 0 else now in (old, new)

    return code not in FINE.get(mode, (code,)) or not in_a_fork(intact)


def swept(sweep: Sweep, mode: str, trials: int, recover: int) -> dict[str, Any]:
    """All trials of a mode that have no line yet."""
    state, log = sweep.folder / "begin.json", sweep.folder / "trials.jsonl"
    if not state.exists():
        state.write_text(json.dumps(begun(sweep, mode, trials)))
    begin = json.loads(state.read_text())
    sweep.seconds = begin["seconds"]
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for number, fault in enumerate(begin["faults"][len(done) :], len(done)):
        sweep.begin()
        code = faulted(sweep, mode, fault)
        bad, again = harmed(sweep, mode, code, begin), number % recover == 0
        if again and not bad:
            bad = sweep.wait(sweep.forked(sweep.again()), HUNG_SECONDS) != 0
            bad = bad or not in_a_fork(lambda: list(sweep.live()) == begin["new"])
        if bad:
            shutil.copytree(sweep.work, sweep.folder / f"bad-{number}", dirs_exist_ok=True)
        done.append({"fault": fault, "exit": code, "bad": bad, "again": again})
        with log.open("a") as stream:
            stream.write(json.dumps(done[-1]) + "\n")
    return {
        "command": sweep.command, "mode": mode, "trials": len(done),
        "exit_codes": dict(collections.Counter(str(trial["exit"]) for trial in done)),
        "bad": sum(trial["bad"] for trial in done),
        "bad_at": [trial["fault"] for trial in done if trial["bad"]][:20],
        "repeated": sum(trial["again"] for trial in done),
    }  # fmt: skip


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs in `folder`."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
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
    parser.add_argument("--mode", choices=["random", "full", *CALLS], default="random")
    parser.add_argument("--trials", type=int, default=0, help="at most so many; 0 for all")
    parser.add_argument("--recover", type=int, default=1, help="repeat the command in every n-th")
    parser.add_argument("--resume", action="store_true", help="go on with a sweep cut off")
    parser.add_argument("--folder", type=Path, default=Path("work/faults"))
    chosen = parser.parse_args()
    folder = chosen.folder.absolute() / f"{chosen.command}-{chosen.mode}"
    if not chosen.resume:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with small_disk(folder) if chosen.mode == "full" else contextlib.nullcontext(folder) as disk:
        sweep = Sweep(chosen.command, folder, disk)
        result = swept(sweep, chosen.mode, chosen.trials, chosen.recover)
    print(json.dumps(result), flush=True)
    raise SystemExit(bool(result["bad"]))


if __name__ == "__main__":
    main()

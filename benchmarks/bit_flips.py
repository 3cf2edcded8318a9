"""One bit of one file of every kind of artefact, 200 times each: is it ever loaded as if whole?

    python benchmarks/bit_flips.py [--flips 200]

A small shop's night is published; then a random bit of a random file of an artefact is flipped,
what reads the artefact reads it in a fork of its own, and the file is put back. *Refused*: a fault
of ours; *healed*: the damaged one was left alone, and what it held was made again or taken from an
older one; *unnoticed*: it was read as if whole; *crashed*: any other end. Prints one JSON line a
kind. Results in `RELIABILITY.md` here.
"""

import argparse
import collections
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from fault_sweep import Sweep

from pipelines import basis, encode, evaluate, inputs, trained
from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import Fault
from recsys.serving import audit, release
from recsys.settings import load
from recsys.training import checkpoints

REFUSED, HEALED, UNNOTICED, CRASHED = range(4)
WORDS = ("refused", "healed", "unnoticed", "crashed")


def kinds(settings: Settings) -> dict[str, tuple[Path, Callable[[Path], bool]]]:
    """Folder of each kind of artefact, and its reader: true where it did without the damaged."""
    root = settings.root

    def features(_: Path) -> bool:
        model = trained.load(settings)
        encode.item_features(settings, inputs.load(settings), model.trained, model.attributes)
        return False

    def of_day(damaged: Path) -> bool:
        found, model, before = inputs.load(settings), trained.load(settings), damaged.read_bytes()
        moment = inputs.moment("2026-10-28", found.newest_seconds())
        basis.load(
            settings, found, model, basis.of_day(settings, found, model, str(moment[0]), moment[1])
        )
        return not damaged.exists() or damaged.read_bytes() != before

    def evaluation(_: Path) -> bool:
        evaluate.latest(settings, trained.load(settings))
        return False

    def checkpoint(_: Path) -> bool:
        newest = max(root.glob("checkpoints/step-*"))
        steps = int(newest.name.removeprefix("step-"))
        found = checkpoints.newest(root / "checkpoints")
        return found is None or found.values["result"]["step"] != steps

    def reads(read: Callable[[], object]) -> Callable[[Path], bool]:
        return lambda _: read() is NotImplemented

    live = {name: artefacts.current(root / name, kind)[0] for name, kind in (
        ("catalogue", "catalogue"), ("interactions", "interactions"), ("models", "model"),
        ("releases", release.KIND), ("evaluations", evaluate.KIND),
    )}  # fmt: skip
    return {
        "catalogue": (live["catalogue"], reads(lambda: inputs.load(settings))),
        "interactions": (live["interactions"], reads(lambda: inputs.load(settings))),
        "embeddings": (root / "embeddings", features),
        "model": (live["models"], reads(lambda: trained.load(settings))),
        "checkpoint": (max(root.glob("checkpoints/step-*")), checkpoint),
        "basis": (root / "bases", of_day),
        "evaluation": (live["evaluations"], evaluation),
        "release": (live["releases"], reads(lambda: audit.verify(root / "releases"))),
    }


def tried(read: Callable[[Path], bool], damaged: Path) -> int:
    """What the reader makes of it, in a fork."""
    child = os.fork()
    if not child:
        code = CRASHED
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            code = HEALED if read(damaged) else UNNOTICED
        except Fault:
            code = REFUSED
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else CRASHED


def main() -> None:
    """Flips bits of every kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path("work/faults"))
    parser.add_argument("kinds", nargs="*")
    chosen = parser.parse_args()
    folder = chosen.folder.absolute() / "flips"
    shutil.rmtree(folder, ignore_errors=True)
    sweep = Sweep("nightly", folder)
    sweep.prepare()
    sweep.begin()
    settings, chance, bad = load(Settings, None, sweep.words), random.Random(0), 0
    for name, (folder, read) in kinds(settings).items():
        if chosen.kinds and name not in chosen.kinds:
            continue
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        ends: collections.Counter[str] = collections.Counter()
        missed = []
        for _ in range(chosen.flips):
            damaged = chance.choice(files)
            whole = damaged.read_bytes()
            content = bytearray(whole)
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            damaged.write_bytes(content)
            end = WORDS[tried(read, damaged)]
            if end in {"unnoticed", "crashed"}:
                missed.append(f"{end}: {damaged.relative_to(folder)}")
            ends[end] += 1
            damaged.parent.mkdir(parents=True, exist_ok=True)
            damaged.write_bytes(whole)
        bad += len(missed)
        files_missed = dict(collections.Counter(missed).most_common(8))
        print(
            json.dumps({"artefact": name, "files": len(files), **ends, "missed": files_missed}),
            flush=True,
        )
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()

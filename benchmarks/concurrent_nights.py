"""Fifty pairs of nights started at once on one work folder, and readers all the while.

    python benchmarks/concurrent_nights.py [--pairs 50]

Of each pair one publishes and the other ends with 5 (it found the lock) or has nothing left to do;
each pair ranks another number of candidates, so that each publishes a release. Two readers follow
the pointer and check every file of what it names, again and again. Prints one JSON line. Results in
`RELIABILITY.md` here.
"""

import argparse
import collections
import json
import os
import signal
import time
from pathlib import Path

from fault_sweep import HUNG_SECONDS, Sweep

from recsys import artefacts
from recsys.errors import InputFault
from recsys.serving import release


def reader(root: Path, said: Path) -> int:
    """Forks a process that reads the live release until it is told to stop; its id."""
    child = os.fork()
    if child:
        return child
    reads, torn, names, stop = 0, list[str](), set[str](), list[int]()
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    while not stop:
        try:
            folder, _ = artefacts.current(root, release.KIND)
            lists = release.read_lists(folder)
            assert lists["rank"].min() == 1
            names.add(folder.name)
        except (InputFault, AssertionError, OSError) as error:
            torn.append(str(error))
        reads += 1
    said.write_text(json.dumps({"reads": reads, "releases_seen": len(names), "torn": torn[:5]}))
    os._exit(0)


def main() -> None:
    """Runs the pairs and prints what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path("work/faults"))
    chosen = parser.parse_args()
    sweep = Sweep("nightly", chosen.folder.absolute() / "pairs")
    sweep.prepare()
    sweep.begin()
    told = [sweep.folder / f"reader-{number}" for number in range(2)]
    readers = [reader(sweep.work / "releases", said) for said in told]
    ends: collections.Counter[str] = collections.Counter()
    published, start = set(), time.monotonic()
    for number in range(chosen.pairs):
        words = ["nightly", f"lists.candidates.count={100 + number}"]
        both = [sweep.forked(words), sweep.forked(words)]
        codes = sorted(str(sweep.wait(process, HUNG_SECONDS)) for process in both)
        ends[" and ".join(codes)] += 1
        published.add(artefacts.current(sweep.work / "releases", release.KIND)[0].name)
    seconds = time.monotonic() - start
    for process in readers:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
    result = {
        "pairs": chosen.pairs,
        "exit_codes": dict(ends),
        "releases_published": len(published),
        "readers": [json.loads(said.read_text()) for said in told],
        "seconds": round(seconds),
    }
    print(json.dumps(result), flush=True)
    torn = any(found["torn"] for found in result["readers"])
    fair = set(ends) <= {"0 and 0", "0 and 5"} and len(published) == chosen.pairs
    raise SystemExit(torn or not fair)


if __name__ == "__main__":
    main()

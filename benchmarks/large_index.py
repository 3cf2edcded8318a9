"""One index over millions of items: time and memory to build it, searches, recall, and mapped.

    python benchmarks/large_index.py --aside /tmp --kind ivf lists=4096 --effort probes=8 probes=64
    python benchmarks/large_index.py --aside /tmp --items 2000000 --kind auto
    python benchmarks/large_index.py --kind exact device=cuda

Clustered unit vectors, 64 wide, as `index_tuning.py` draws them, made a million at a time. The
index is built, searched by 1,000 users (exact search: all at once, as a night asks it), compared
with exact search for 200 of them, written, given up and read back mapped. Memory is what this
process alone has (RssAnon), now and at its highest, beside all that is mapped into it (RSS), files
included; with --aside, vectors and index lie in files of that folder. One thread unless --threads
says more. Results in `README.md`.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import torch
from index_tuning import TUNING, WIDTH, clustered

from recsys import memory
from recsys.serving import index, index_files, index_tuning
from recsys.serving.index import Index, Vectors
from recsys.serving.index_settings import IndexSettings
from recsys.settings import load

BLOCK, K, USERS, JUDGED, QUERIES = 1_000_000, 100, 1000, 200, 64


def now() -> tuple[float, float]:
    """GB that the process alone has, and all that is mapped into it."""
    said = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in said if "kB" in line}
    return found["RssAnon"], found["VmRSS"]


@contextmanager
def told(what: str) -> Iterator[None]:
    """Prints CPU and wall seconds, and the memory meanwhile and afterwards."""
    highest, over = [now()[0]], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            highest.append(now()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin, used = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        wall, spent = time.perf_counter() - begin, time.process_time() - used
        over.set()
        watcher.join()
    own, every = now()
    print(
        f"{what}: {spent:.1f} CPU s, {wall:.1f} s; own {own:.2f} GB, at most {max(highest):.2f}; "
        f"RSS {every:.2f} GB", flush=True,
    )  # fmt: skip


def drawn(count: int, aside: Path | None) -> Vectors:
    """`[count, WIDTH]`."""
    room = memory.spilled(4 * count * WIDTH, aside, memory.SMALL)
    items = room.view(np.float32).reshape(count, WIDTH)
    for number, start in enumerate(range(0, count, BLOCK)):
        block = items[start : start + BLOCK]
        block[:] = clustered(len(block), 10 + number)[:, :WIDTH]
    return items


def searched(built: Index, users: Vectors, what: str) -> None:
    """All users, in blocks as the night asks them; first some that are not counted."""
    size = len(users) if built.settings.kind == "exact" else QUERIES
    built.search(users[:QUERIES], K)
    begin, used = time.perf_counter(), time.process_time()
    with told(f"search, {what}"):
        for start in range(0, len(users), size):
            built.search(users[start : start + size], K)
    wall, spent = time.perf_counter() - begin, time.process_time() - used
    print(f"  {len(users) / spent:,.0f} users per CPU second, {len(users) / wall:,.0f} per second")


def built_of(items: Vectors, chosen: IndexSettings, aside: Path | None) -> Index:
    """The index, tuned where the settings say so."""
    rows = np.arange(len(items))
    if chosen.kind != "auto":
        return index.build(items, rows, "", chosen, aside=aside)
    sample = clustered(TUNING, 3)[:, :WIDTH].copy()
    choice = index_tuning.measured(items, rows, "", chosen, sample, K, aside)
    print(f"  {choice.index.settings}\n  recall {choice.recall:.4f}, cost {choice.cost:.0f}")
    return choice.index


def main() -> None:
    """Prints a line a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--aside", type=Path, help="folder for vectors and index")
    parser.add_argument("--kind", default="pq")
    parser.add_argument("settings", nargs="*", help="of the index, as lists=4096")
    parser.add_argument("--effort", nargs="+", default=[], help="searched one after the other")
    asked = parser.parse_args()
    faiss.omp_set_num_threads(asked.threads)
    torch.set_num_threads(asked.threads)
    chosen = load(IndexSettings, None, [f"kind={asked.kind}", *asked.settings])
    with told("vectors"):
        items, users = drawn(asked.items, asked.aside), clustered(USERS, 4)[:, :WIDTH].copy()
    with told("exact best of some"):
        truth = index_tuning.nearest(items, users[:JUDGED], K)
    with told("build"):
        built = built_of(items, chosen, asked.aside)
    for effort in asked.effort or [""]:
        if effort:
            words = [f"kind={asked.kind}", *asked.settings, effort]
            built = replace(built, settings=load(IndexSettings, None, words))
        searched(built, users, f"as built {effort}")
        found = index_tuning.recall(built, truth, users[:JUDGED], K)
        print(f"  recall@{K} {found.mean():.4f} +- {found.std() / len(found) ** 0.5:.4f}")
    del items
    with tempfile.TemporaryDirectory(dir=asked.aside) as name:
        with told("write"):
            index_files.write(built, Path(name), "")
        size = sum(path.stat().st_size for path in Path(name).iterdir())
        del built
        with told(f"read mapped ({size / 1e9:.2f} GB)"):
            mapped = index_files.read(Path(name), "", "", mapped=True)
        searched(mapped, users, "mapped")
        again = index_tuning.recall(mapped, truth, users[:JUDGED], K)
        assert (again == found).all()


if __name__ == "__main__":
    main()

"""One index over millions of items: time and memory to build it, searches, recall, and mapped.

    python benchmarks/large_index.py --kind ivf lists=4096 --effort probes=8 probes=64

Clustered unit vectors, 64 wide, as `index_tuning.py` draws them, made a million at a time. The
index is built, searched by 1,000 users, compared with exact search for 200 of them, written, given
up and read back mapped. Memory is what this process alone has (RssAnon) beside all that is
mapped into it (RSS), files included. One thread unless --threads says more. Results in `README.md`.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import torch
from index_tuning import WIDTH, clustered

from recsys.serving import index, index_files, index_tuning
from recsys.serving.index import Index, IndexSettings, Rows, Vectors
from recsys.settings import load

BLOCK, K, USERS, JUDGED, QUERIES = 1_000_000, 100, 1000, 200, 64


def memory() -> str:
    """What the process has now, in GB."""
    said = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in said if "kB" in line}
    return f"own {found['RssAnon']:.2f} GB, RSS {found['VmRSS']:.2f} GB"


@contextmanager
def told(what: str) -> Iterator[None]:
    """Prints CPU and wall seconds, and the memory afterwards."""
    begin, used = time.perf_counter(), time.process_time()
    yield
    wall, spent = time.perf_counter() - begin, time.process_time() - used
    print(f"{what}: {spent:.1f} CPU s, {wall:.1f} s; {memory()}", flush=True)


def drawn(count: int) -> Vectors:
    """`[count, WIDTH]`."""
    items = np.empty((count, WIDTH), np.float32)
    for number, start in enumerate(range(0, count, BLOCK)):
        block = items[start : start + BLOCK]
        block[:] = clustered(len(block), 10 + number)[:, :WIDTH]
    return items


def best(items: Vectors, users: Vectors) -> Rows:
    """`[u, K]` the exact best, in blocks of items."""
    scores = torch.full((len(users), 0), 0.0)
    rows = torch.zeros(len(users), 0, dtype=torch.long)
    for start in range(0, len(items), BLOCK):
        block = torch.from_numpy(users) @ torch.from_numpy(items[start : start + BLOCK]).T
        some, at = block.topk(K)
        scores, order = torch.cat([scores, some], 1).topk(K)
        rows = torch.cat([rows, at + start], 1).gather(1, order)
    return rows.numpy()


def searched(built: Index, users: Vectors, what: str) -> None:
    """All users, in blocks as the night asks them; first some that are not counted."""
    built.search(users[:QUERIES], K)
    used = time.process_time()
    with told(f"search, {what}"):
        for start in range(0, len(users), QUERIES):
            built.search(users[start : start + QUERIES], K)
    print(f"  {len(users) / (time.process_time() - used):,.0f} users per CPU second")


def main() -> None:
    """Prints a line a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kind", default="pq")
    parser.add_argument("settings", nargs="*", help="of the index, as lists=4096")
    parser.add_argument("--effort", nargs="+", default=[], help="searched one after the other")
    asked = parser.parse_args()
    faiss.omp_set_num_threads(asked.threads)
    torch.set_num_threads(asked.threads)
    chosen = load(IndexSettings, None, [f"kind={asked.kind}", *asked.settings])
    with told("vectors"):
        items, users = drawn(asked.items), clustered(USERS, 4)[:, :WIDTH].copy()
    with told("exact best of some"):
        truth = best(items, users[:JUDGED])
    with told("build"):
        built = index.build(items, np.arange(len(items)), "", chosen)
    for effort in asked.effort or [""]:
        words = [f"kind={asked.kind}", *asked.settings, *([effort] if effort else [])]
        built = replace(built, settings=load(IndexSettings, None, words))
        searched(built, users, f"in memory {effort}")
        found = index_tuning.recall(built, truth, users[:JUDGED], K)
        print(f"  recall@{K} {found.mean():.4f} +- {found.std() / len(found) ** 0.5:.4f}")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True)
    del items
    with tempfile.TemporaryDirectory() as name:
        with told("write"):
            index_files.write(built, Path(name), "")
        size = (Path(name) / index_files.FILE).stat().st_size
        del built
        with told(f"read mapped ({size / 1e9:.2f} GB)"):
            mapped = index_files.read(Path(name), "", "", mapped=True)
        searched(mapped, users, "mapped")
        again = index_tuning.recall(mapped, truth, users[:JUDGED], K)
        assert (again == found).all()


if __name__ == "__main__":
    main()

"""The index that tunes itself beside a grid searched by hand: users per second at a wanted recall.

    python benchmarks/index_tuning.py --items 100000 --recall 0.99 --k 300

Clustered unit vectors, 64 wide, with a column more for the trend. The grid is timed on other users
than those that the tuning sees, several times in turn; the best of the grid at the target recall is
what a careful person would have set. One thread.
"""

import argparse
import itertools
import statistics
import time
from dataclasses import replace

import numpy as np

from recsys.serving import index, index_tuning
from recsys.serving.index import Index, IndexSettings, Rows, Vectors

WIDTH, CENTRES, SPREAD = 64, 1000, 0.35
ROUNDS = 5


def clustered(count: int, seed: int) -> Vectors:
    """Unit vectors round centres, with a last column of ones: what users carry for the trend."""
    centres = np.random.default_rng(0).normal(size=(CENTRES, WIDTH))
    random = np.random.default_rng(seed)
    found = centres[random.integers(0, CENTRES, count)]
    found += SPREAD * random.normal(size=found.shape)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    return np.concatenate([unit, np.ones((count, 1))], axis=1).astype(np.float32)


def grid(count: int, k: int) -> list[IndexSettings]:
    """What somebody would try by hand."""
    lists = [round(factor * count**0.5) for factor in (1, 2, 4, 6, 8)]
    probes, refine = (8, 16, 24, 32, 48, 64, 96), (2.0, 4.0, 8.0)
    return [
        IndexSettings(kind="exact"),
        IndexSettings(kind="sq8"),
        *(IndexSettings(kind="pq", refine=many) for many in (2, 4, 6, 8, 12)),
        *(
            IndexSettings(kind="ivf", lists=some, probes=few)
            for some, few in itertools.product(lists, probes)
        ),
        *(
            IndexSettings(kind="ivf_pq", lists=lists[2], probes=few, refine=many)
            for few, many in itertools.product(probes, refine)
        ),
        *(IndexSettings(kind="hnsw", search_effort=effort * k) for effort in (1, 2)),
    ]


def seconds(built: Index, users: Vectors, k: int) -> float:
    """CPU seconds of one search: other work on the machine counts less."""
    begin = time.process_time()
    built.search(users, k)
    return time.process_time() - begin


def tried(items: Vectors, users: Vectors, truth: Rows, k: int) -> list[tuple[Index, float]]:
    """Every index of the grid, and what it finds of the exact best."""
    found: list[tuple[Index, float]] = []
    for chosen in grid(len(items), k):
        old = found[-1][0] if found else None
        kept = old and (old.settings.kind, old.settings.lists) == (chosen.kind, chosen.lists)
        if old is not None and kept:
            built = replace(old, settings=chosen)
        else:
            built = index.build(items, np.arange(len(items)), "", chosen)
        found.append((built, float(index_tuning.recall(built, truth, users, k).mean())))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--k", type=int, default=300)
    asked = parser.parse_args()
    items = clustered(asked.items, 1)
    items[:, -1] = 0.05 * np.random.default_rng(2).normal(size=len(items))
    sample, users = clustered(500, 3), clustered(1000, 4)
    wanted = IndexSettings(kind="auto", recall=asked.recall)
    begin = time.process_time()
    rows = np.arange(len(items))
    choice = index_tuning.tuned(items, rows, "", wanted, sample, asked.k)
    spent = time.process_time() - begin
    exact = index.build(items, rows, "", IndexSettings())
    truth = exact.search(users, asked.k)[0]
    own = float(index_tuning.recall(choice.index, truth, users, asked.k).mean())
    by_hand = [pair for pair in tried(items, users, truth, asked.k) if pair[1] >= asked.recall]
    quick = sorted(by_hand, key=lambda pair: seconds(pair[0], users, asked.k))[:3]
    turns = [
        [len(users) / seconds(one, users, asked.k)
         for one in (choice.index, exact, *(pair[0] for pair in quick))]
        for _ in range(ROUNDS)
    ]  # fmt: skip
    rates = [statistics.median(turn[place] for turn in turns) for place in range(len(turns[0]))]
    ratios = sorted(turn[0] / max(turn[2:]) for turn in turns)
    print(f"{asked.items:,} items, recall {asked.recall}, k {asked.k}; users per CPU second")
    names = ["tuned", "exact", *["by hand"] * len(quick)]
    kinds = [choice.index, exact, *(pair[0] for pair in quick)]
    recalls = [own, 1.0, *(pair[1] for pair in quick)]
    for name, one, rate, share in zip(names, kinds, rates, recalls, strict=True):
        chosen = one.settings.model_dump(include={"kind", "lists", "probes", "refine"})
        print(f"  {name:8} {rate:9,.0f}  recall {share:.4f}  {chosen}")
    print(f"tuning took {spent:.1f} CPU seconds (recall on its own sample {choice.recall:.4f})")
    print(
        f"tuned / best by hand: {statistics.median(ratios):.2f} [{ratios[0]:.2f} {ratios[-1]:.2f}]"
    )


if __name__ == "__main__":
    main()

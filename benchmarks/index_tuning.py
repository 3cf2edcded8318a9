"""The index that tunes itself beside a grid searched by hand: users per second at a wanted recall.

    python benchmarks/index_tuning.py --items 100000 --recall 0.99 --k 300
    python benchmarks/index_tuning.py --recall 0.99 --trained work=WORK data.folder=SHOP

Clustered unit vectors, 64 wide, with a column more for the trend; or the items that may be listed
and the users of a model that was trained with these settings. The grid is timed on other users than
those that the tuning sees (of real ones, on some of the other half), several times in turn; the
best of the grid at the target recall is what a careful person would have set. One thread.
"""

import argparse
import itertools
import statistics
import time
from dataclasses import replace

import numpy as np
import torch

from pipelines import encode, inputs, trained
from pipelines.settings import Settings
from recsys.data import histories
from recsys.serving import index, index_tuning, recommend, vectors
from recsys.serving.index import Index, Rows, Vectors
from recsys.serving.index_settings import IndexSettings
from recsys.settings import load

WIDTH, CENTRES, SPREAD = 64, 1000, 0.35
TUNING, JUDGING, ROUNDS = 500, 1000, 5  # users, users, times


def clustered(count: int, seed: int) -> Vectors:
    """Unit vectors round centres, with a last column of ones: what users carry for the trend."""
    centres = np.random.default_rng(0).normal(size=(CENTRES, WIDTH))
    random = np.random.default_rng(seed)
    found = centres[random.integers(0, CENTRES, count)]
    found += SPREAD * random.normal(size=found.shape)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    return np.concatenate([unit, np.ones((count, 1))], axis=1).astype(np.float32)


def drawn(count: int) -> tuple[Vectors, Vectors, Vectors]:
    """Clustered items with a trend, users to tune on, users to judge by."""
    items = clustered(count, 1)
    items[:, -1] = 0.05 * np.random.default_rng(2).normal(size=count)
    return items, clustered(TUNING, 3), clustered(JUDGING, 4)


def learned(words: list[str]) -> tuple[Vectors, Vectors, Vectors]:
    """The same of a trained model: both groups of users are from halves drawn at random."""
    settings = load(Settings, None, words)
    found, model = inputs.load(settings), trained.load(settings)
    features = encode.item_features(settings, found, model.trained, model.attributes)
    now = found.newest_seconds() + 1
    shop = found.shop(found.events, now, today=True)
    made = recommend.prepare(model.towers, features, shop, now, settings.lists, model.reranker)
    past = found.before(now)
    order = np.random.default_rng(0).permutation(len(past))
    halves = order[: len(past) // 2][:TUNING], order[len(past) // 2 :][:JUDGING]
    asked = [
        vectors.of_users(
            model.towers, made.item_vectors, histories.of(past, half), now, made.people
        )
        for half in halves
    ]
    sample, users = (recommend.with_trend(some, np.ones(len(some))) for some in asked)
    trend = model.towers.temperature.item() * made.terms.offsets()
    return recommend.with_trend(made.item_vectors, trend)[made.index.rows], sample, users


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
    parser.add_argument("--trained", nargs="+", metavar="SETTING", help="of the model to ask")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    items, sample, users = learned(asked.trained) if asked.trained else drawn(asked.items)
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
    print(f"{len(items):,} items, recall {asked.recall}, k {asked.k}; users per CPU second")
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

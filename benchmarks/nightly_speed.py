"""Nightly lists, stage by stage: users per CPU second, beside the bare loop of exact search.

    python benchmarks/nightly_speed.py --items 10000 100000 --users 1000
    python benchmarks/nightly_speed.py --items 10000 100000 --peers /tmp/rectools/bin/python
    python benchmarks/nightly_speed.py --items 10000 100000 --users 3072 --threads 1 2

64 wide, histories of 100 events, the top 100 with everything seen left out: user states, search and
filters, reranking, the table of lists, Parquet, all as the night calls them, with a model that has
not been trained (speed does not ask for that). The bare loop multiplies, hides and picks with torch
and nothing else. `--peers` times the search alone, in turn with that of `implicit` and RecTools in
an environment of their own (`pip install torch==2.13.0`, then `rectools[torch] implicit`), on the
same random vectors and seen items; all must find the same scores. One thread. `--threads` makes
whole lists by so many blocks at once and counts by the clock.
"""

import argparse
import functools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, LENGTH, K, ROUNDS, NOW, DAY = 64, 100, 100, 3, 1_700_000_000, 86_400
WARM = 64  # users asked first: no thread has memory of its own before


def rate(action: Callable[[], Any], users: int) -> tuple[Any, float]:
    """What it returns, and users per CPU second."""
    begin = time.process_time()
    made = action()
    return made, users / max(time.process_time() - begin, 1e-9)


def print_spread(turns: list[dict[str, float]]) -> None:
    """A line for each figure: its median over the turns, the smallest and the largest."""
    for key in turns[0]:
        values = sorted(turn[key] for turn in turns)
        told = [f"{value:,.2f}" for value in (statistics.median(values), values[0], values[-1])]
        print(f"  {key:32} {told[0]:>12} [{told[1]} {told[2]}]", flush=True)


def of_peers(folder: Path) -> None:
    """In their environment: rates of each peer's search, and the scores that it finds."""
    import torch
    from implicit.cpu.als import AlternatingLeastSquares
    from rectools.models.rank import Distance, ImplicitRanker, TorchRanker
    from scipy.sparse import csr_matrix

    torch.set_num_threads(1)
    given = np.load(folder / "asked.npz")
    items, users, offsets = given["items"], given["users"], given["offsets"]
    model = AlternatingLeastSquares(factors=WIDTH, num_threads=1)
    model.user_factors, model.item_factors = users, items
    ones, shape = np.ones(len(given["rows"]), np.float32), (len(users), len(items))
    seen = csr_matrix((ones, given["rows"], offsets), shape)
    by_implicit = ImplicitRanker(Distance.DOT, users, items, num_threads=1)
    by_torch = TorchRanker(Distance.DOT, "cpu", users, items)
    searches: dict[str, Callable[[Any, Any], Any]] = {
        "implicit": lambda who, had: model.recommend(who, had, N=K)[1],
        "RecTools, implicit": lambda who, had: by_implicit.rank(who, K, had)[2],
        "RecTools, torch": lambda who, had: by_torch.rank(who, K, had)[2],
    }
    found: dict[str, Any] = {}
    for name, search in searches.items():
        search(np.arange(WARM), seen[:WARM])
        whole = functools.partial(search, np.arange(len(users)), seen)
        made, found[f"{name}: rate"] = rate(whole, len(users))
        found[name] = np.asarray(made).reshape(-1, K)
    np.savez(folder / "answered.npz", **found)


def beside_peers(items: int, users: int, peers: str, folder: Path) -> dict[str, float]:
    """Our search and theirs on the same vectors; stops where the scores differ."""
    import torch

    from recsys.evaluation.lists import row_sets
    from recsys.serving import candidates, index
    from recsys.serving.index_settings import IndexSettings

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    every, asked = (random.normal(size=(many, WIDTH)).astype("f4") for many in (items, users))
    seen = row_sets(np.arange(users + 1) * LENGTH, random.integers(0, items, users * LENGTH))
    np.savez(folder / "asked", items=every, users=asked, offsets=seen.offsets, rows=seen.rows)
    built = index.build(every, np.arange(items), "", IndexSettings())
    candidates.find(built, asked[:WARM], seen.block(0, WARM), None, K)
    ours, found = rate(lambda: candidates.find(built, asked, seen, None, K), users)
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([peers, __file__, "--answer", str(folder)], check=True, env=alone)
    rates = {"search": found}
    with np.load(folder / "answered.npz") as answered:
        for name in (name for name in answered if not name.endswith("rate")):
            np.testing.assert_allclose(ours.similarities, answered[name], rtol=1e-5)
            rates[name] = float(answered[f"{name}: rate"])
            rates[f"search / {name}"] = found / rates[name]
    return rates


def prepared(items: int, users: int) -> tuple[Any, Any]:
    """A recommender with a model that is not trained, and histories."""
    import torch

    from recsys.data.histories import Histories
    from recsys.models import two_tower
    from recsys.models.item_features import ItemFeatures
    from recsys.models.two_tower import ModelSettings
    from recsys.serving import recommend
    from recsys.serving.moment import Shop
    from recsys.serving.recommend import ListSettings

    random = np.random.default_rng(0)
    features = ItemFeatures((), {}, torch.ones(items, 1, dtype=torch.bool))
    model = two_tower.build(ModelSettings(width=WIDTH), features, ("view",), 0).eval()
    rows = random.integers(0, items, users * LENGTH)
    times = np.sort(random.integers(NOW - 90 * DAY, NOW, (users, LENGTH)), axis=1).ravel()
    names = tuple(f"u{user:07d}" for user in range(users))
    offsets = np.arange(users + 1) * LENGTH
    ones = np.ones(len(rows), np.int64)
    histories = Histories(names, offsets, rows, ones, times, ones.astype(np.float32))
    shop = Shop(np.ones(items, np.bool_), rows, times, np.full(items, NOW - 99.0 * DAY), "")
    settings = ListSettings.model_validate({"candidates": {"count": K}})
    return recommend.prepare(model, features, shop, NOW, settings), histories


def by_threads(items: int, users: int, threads: list[int]) -> dict[str, float]:
    """Users a second by the clock, states to table, with so many blocks at once."""
    from recsys.data import histories
    from recsys.engine import EngineSettings, map_buckets
    from recsys.serving import release

    recommender, past = prepared(items, users)
    ids = tuple(f"i{item:07d}" for item in range(items))

    def of_block(part: Any) -> Any:
        ranked = recommender.lists(part, K)
        return release.list_frame(part.user_ids, ranked, recommender.names, ids)

    found = {}
    for count in threads:
        blocks = np.array_split(np.arange(users), 16)
        begin = time.perf_counter()
        parts = (histories.of(past, block) for block in blocks)
        for _ in map_buckets(of_block, parts, EngineSettings(threads=count)):
            pass
        found[f"{count} threads"] = users / (time.perf_counter() - begin)
    return found


def of_night(items: int, users: int, folder: Path) -> dict[str, float]:
    """The stages of a night."""
    import torch

    from recsys.serving import candidates, recommend, release, vectors

    torch.set_num_threads(1)
    recommender, histories = prepared(items, users)
    names, rows = histories.user_ids, histories.items
    ids = tuple(f"i{item:07d}" for item in range(items))

    def bare() -> None:
        table = torch.from_numpy(recommender.item_vectors)
        for start in range(0, users, 256):
            scores = torch.from_numpy(states[start : start + 256]) @ table.T
            owner = torch.arange(len(scores)).repeat_interleave(LENGTH)
            some = rows[start * LENGTH : (start + len(scores)) * LENGTH]
            scores[owner, torch.from_numpy(some)] = -torch.inf
            scores.topk(K)

    found: dict[str, float] = {}
    states, found["states"] = rate(
        lambda: vectors.of_users(recommender.model, recommender.item_vectors, histories, NOW),
        users,
    )
    asked = recommend.with_trend(states, np.ones(users))
    seen, _ = rate(lambda: recommend.seen_items(histories), users)
    some, found["search"] = rate(
        lambda: candidates.find(recommender.index, asked, seen, None, K), users
    )
    _, found["bare loop"] = rate(bare, users)
    ranked, found["rerank"] = rate(lambda: recommender.listed(some, histories, K), users)
    frame, found["table"] = rate(
        lambda: release.list_frame(names, ranked, recommender.names, ids), users
    )
    _, found["parquet"] = rate(lambda: frame.write_parquet(folder / "lists.parquet"), users)
    stages = ("states", "search", "rerank", "table", "parquet")
    found["all stages"] = 1 / sum(1 / found[stage] for stage in stages)
    found["search / bare"] = found["search"] / found["bare loop"]
    found["all / bare"] = found["all stages"] / found["bare loop"]
    return found


def main() -> None:
    """Prints medians and spreads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--peers", help="python with rectools and implicit")
    parser.add_argument("--threads", type=int, nargs="+", help="whole lists by these, by the clock")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.answer:
        of_peers(asked.answer)
        return
    for items in asked.items:
        with tempfile.TemporaryDirectory() as name:
            if asked.threads:
                turn = functools.partial(by_threads, items, asked.users, asked.threads)
            elif asked.peers:
                turn = functools.partial(beside_peers, items, asked.users, asked.peers, Path(name))
            else:
                turn = functools.partial(of_night, items, asked.users, Path(name))
            turns = [turn() for _ in range(ROUNDS)]
        print(f"{items:,} items, users {'a' if asked.threads else 'per CPU'} second")
        print_spread(turns)


if __name__ == "__main__":
    main()

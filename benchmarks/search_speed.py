"""How long `search` and `similar` take on 100,000 items after loading, and what each index finds.

    OMP_NUM_THREADS=1 python benchmarks/search_speed.py

Items are random tokens through a fresh item tower, in a thousand kinds; a query is the text of one
item: hashed words, item tower, index, with and without a filter that one item in ten passes. LSH is
faiss's, with 16 bits a dimension, its 1,000 nearest codes scored exactly. Results in `README.md`.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import faiss
import numpy as np
import torch

from recsys.features.text import HashedText
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings
from recsys.serving import item_space, vectors
from recsys.serving.index_settings import IndexSettings

K, KINDS, QUERIES = 10, 1000, 60
WIDTHS = {"text": 256, "image": 138, "video": 158}


def main() -> None:
    """Prints a row for each index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="+", default=["exact", "ivf", "hnsw", "lsh"])
    chosen = parser.parse_args()
    count = chosen.items
    random = np.random.default_rng(0)
    kinds = random.integers(0, KINDS, count)
    values = {
        name: torch.from_numpy(
            (random.normal(size=(KINDS, width))[kinds] + random.normal(size=(count, width)))
            .astype(np.float32)
        )
        for name, width in WIDTHS.items()
    }  # fmt: skip
    present = torch.ones(count, len(WIDTHS) + 1, dtype=torch.bool)
    present[:, -1] = False
    features = ItemFeatures(tuple(WIDTHS), values, present)
    model = two_tower.build(ModelSettings(), features, ("view",), 0).eval()
    every = vectors.of_items(model, features)
    encoder = HashedText(WIDTHS["text"])
    allowed = random.random(count) < 0.1

    def query() -> np.ndarray:
        text = torch.from_numpy(encoder.encode(["a small red mug with a handle"]))
        shown = {name: torch.zeros(1, width) for name, width in WIDTHS.items()} | {"text": text}
        has = torch.tensor([[True, False, False, False]])
        return vectors.of_items(model, ItemFeatures(tuple(WIDTHS), shown, has))

    noise = 0.05 * random.normal(size=(QUERIES, 64))
    asked = (every[random.integers(0, count, QUERIES)] + noise).astype(np.float32)
    print("| index | recall_at_10 | search, ms | filtered, ms | similar, ms | built in, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    truth = None
    for kind in (kind for kind in ("exact", "ivf", "hnsw") if kind in chosen.kinds):
        begin = time.perf_counter()
        space = item_space.build(every, np.arange(count), "x", IndexSettings(kind=kind))
        built = time.perf_counter() - begin
        rows, _ = space.nearest(asked, K)
        truth = rows if truth is None else truth
        whole = timed(partial(lambda space: space.nearest(query(), K), space))
        some = timed(partial(lambda space: space.nearest(query(), K, allowed), space))
        near = timed(partial(space.similar, 7, K))
        print(f"| {kind} | {found(rows, truth):.3f} | {whole} | {some} | {near} | {built:.1f} |",
              flush=True)  # fmt: skip
    if "lsh" not in chosen.kinds:
        return
    begin = time.perf_counter()
    hashed = faiss.IndexLSH(64, 64 * 16)
    hashed.train(every)
    hashed.add(every)
    built = time.perf_counter() - begin

    def lsh(queries: np.ndarray) -> np.ndarray:
        _, coarse = hashed.search(queries, 1000)
        scores = np.einsum("qd,qkd->qk", queries, every[coarse])
        return np.take_along_axis(coarse, np.argsort(-scores, axis=1)[:, :K], 1)

    took = timed(lambda: lsh(query()))
    assert truth is not None
    print(f"| lsh, rescored | {found(lsh(asked), truth):.3f} | {took} | | | {built:.1f} |")


def found(rows: np.ndarray, truth: np.ndarray) -> float:
    """Share of the true neighbours that are found."""
    return float(
        np.mean([np.isin(one, other).mean() for one, other in zip(truth, rows, strict=True)])
    )


def timed(action: Callable[[], object], times: int = 40) -> str:
    """Median milliseconds, and the 95th percentile."""
    action()
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - begin))
    return f"{np.median(taken):.1f} (95 %: {np.quantile(taken, 0.95):.1f})"


if __name__ == "__main__":
    main()

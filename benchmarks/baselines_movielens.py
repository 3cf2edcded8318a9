"""The baselines on MovieLens-1M: leave-one-out as in published tables, and cuts in time.

    python benchmarks/baselines_movielens.py [FOLDER]

FOLDER is the data set folder (`../shared/data/movielens-1m`). Results stand in `README.md` here.
"""

import argparse
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import scipy

from recsys.evaluation import baselines
from recsys.evaluation.lists import Floats, Rows, RowSets, Scores, row_sets
from recsys.evaluation.metrics import match, ndcg_at_k, recall_at_k

K = 10


@dataclass(frozen=True)
class Log:
    """Events sorted by user, then time, then place in the file."""

    offsets: Rows
    items: Rows
    times: Rows
    weights: Scores

    def users(self) -> Rows:
        """Owner of each event."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def where(self, kept: np.ndarray) -> "Log":
        """Only the events `kept`; users keep their places."""
        before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
        return Log(before[self.offsets], self.items[kept], self.times[kept], self.weights[kept])

    def sets(self) -> RowSets:
        """Distinct items per user."""
        return row_sets(self.offsets, self.items)


def read(folder: Path) -> tuple[Log, int]:
    """The log in stable order, and the number of items."""
    frame = pl.read_parquet(folder / "interactions.parquet")
    frame = frame.sort("user_id", "timestamp", maintain_order=True)
    catalogue, items = np.unique(frame["item_id"].to_numpy(), return_inverse=True)
    sizes = np.unique(frame["user_id"].to_numpy(), return_counts=True)[1]
    offsets = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    times = frame["timestamp"].dt.epoch("s").to_numpy()
    return Log(offsets, items, times, np.ones(len(items), np.float32)), len(catalogue)


def systems() -> dict[str, tuple[baselines.BaselineName, baselines.BaselineSettings]]:
    """Every baseline as it is set by default, and the settings of published figures beside."""
    usual = baselines.BaselineSettings()
    days = {d: usual.model_copy(update={"half_life_days": d}) for d in (1.0, 7.0, 30.0)}
    return {
        "popular": ("popular", usual),
        **{f"recent popular, half-life {d:.0f} d": ("recent_popular", s) for d, s in days.items()},
        "item-kNN": ("item_knn_recent", usual),
        "EASE": ("ease_recent", usual),
        "markov, next item only": ("markov", usual.model_copy(update={"markov_reach": 1})),
        "markov, reach 10": ("markov", usual),
    }


def scores(
    train: Log, query: Log, relevant: RowSets, n_items: int, at: int
) -> dict[str, tuple[Floats, Floats, float]]:
    """Recall and nDCG per user of every system, and the seconds to fit it."""
    results = {}
    for label, (name, settings) in systems().items():
        begun = time.perf_counter()
        fitted = baselines.fit(name, train, n_items, at, settings)
        seconds = time.perf_counter() - begun
        eligible = np.ones(n_items, dtype=np.bool_)
        ranked = baselines.recommend(fitted, query, query.sets(), eligible, K)
        matches = match(ranked, relevant)
        results[label] = (recall_at_k(matches, K), ndcg_at_k(matches, K), seconds)
    return results


def leave_one_out(log: Log, n_items: int) -> None:
    """Each user's last event is the target, all others are known."""
    last = np.zeros(len(log.items), dtype=np.bool_)
    last[log.offsets[1:] - 1] = True
    train, test = log.where(~last), log.where(last)
    print("| leave-one-out | recall_at_10 | ndcg_at_10 | fit, s |\n| --- | --- | --- | --- |")
    found = scores(train, train, test.sets(), n_items, int(log.times.max()))
    for label, (recall, ndcg, seconds) in found.items():
        print(f"| {label} | {recall.mean():.4f} | {ndcg.mean():.4f} | {seconds:.1f} |")


def time_cut(log: Log, n_items: int, cut: datetime, days: int) -> str:
    """Everything before the cut is known; the target is what follows within `days`."""
    start, end = int(cut.timestamp()), int((cut + timedelta(days=days)).timestamp())
    train = log.where(log.times < start)
    window = log.where((log.times >= start) & (log.times < end))
    new = np.diff(train.offsets) == 0
    wanted = window.sets().sizes()
    known = ~new & (wanted > 0)
    cells = [f"{cut:%Y-%m-%d}", f"{days}", f"{len(window.items):,}", f"{known.sum():,}"]
    cells += [f"{(new & (wanted > 0)).sum():,}", f"{np.median(wanted[known]):.0f}"]
    for recall, ndcg, _ in scores(train, train, window.sets(), n_items, start).values():
        cells.append(f"{np.nanmean(recall[known]):.3f} / {np.nanmean(ndcg[known]):.3f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Prints both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default="../shared/data/movielens-1m")
    log, n_items = read(Path(parser.parse_args().folder))
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    print(f"{versions}, scipy {scipy.__version__}, polars {pl.__version__}\n")
    leave_one_out(log, n_items)
    heads = [
        "cut",
        "days",
        "events",
        "users with history",
        "new users",
        "median wanted",
        *systems(),
    ]
    print("\n| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for day in ((2000, 12, 3), (2000, 12, 15), (2001, 1, 1), (2001, 2, 1)):
        for days in (7, 14, 30):
            print(time_cut(log, n_items, datetime(*day, tzinfo=UTC), days), flush=True)


if __name__ == "__main__":
    main()

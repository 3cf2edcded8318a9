"""Are new users served better by what their segments choose? MovieLens-1M at three cuts in time.

    python benchmarks/newcomers_movielens.py [FOLDER]

Users whose first event falls into the days after a cut get the popular list (half-life 30 days), or
the same with the term of `recsys.serving.newcomers` at several strengths. `zip` has a value of its
own for half of the users: a column that says little. Results in `README.md` here.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.histories import Histories
from recsys.evaluation.lists import row_sets
from recsys.evaluation.metrics import match, ndcg_at_k, recall_at_k
from recsys.evaluation.significance import paired_difference
from recsys.serving import newcomers
from recsys.serving.newcomers import NewcomerSettings

K = 10
CUTS = (("2000-08-01", 30), ("2000-10-01", 30), ("2000-12-03", 28))
STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1000.0)
COLUMNS = ("gender", "age", "occupation", "zip")


def histories_of(ids: np.ndarray, items: np.ndarray) -> Histories:
    """Who had what, when and how much left out."""
    order = np.argsort(ids, kind="stable")
    users, sizes = np.unique(ids, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    nothing = np.zeros(len(ids), np.int64)
    weights = np.ones(len(ids), np.float32)
    return Histories(tuple(users.tolist()), offsets, items[order], nothing, nothing, weights)


def main() -> None:
    """Prints a row for each cut and strength."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/movielens-1m"))
    folder = parser.parse_args().folder
    log = pl.read_parquet(folder / "interactions.parquet").sort("user_id", "timestamp")
    users = pl.read_parquet(folder / "users.parquet").with_columns(
        pl.col("user_id", "age").cast(pl.String)
    )
    catalogue, items = np.unique(log["item_id"].to_numpy(), return_inverse=True)
    ids = log["user_id"].cast(pl.String).to_numpy()
    seconds = log["timestamp"].dt.epoch("s").to_numpy()
    print("| cut | new users | strength | recall_at_10 | ndcg_at_10 | gain, paired |")
    print("| --- | --- | --- | --- | --- | --- |")
    for day, days in CUTS:
        cut = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
        past, window = seconds < cut, (seconds >= cut) & (seconds < cut + days * 86_400)
        window &= ~np.isin(ids, np.unique(ids[past]))
        who, sizes = np.unique(ids[window], return_counts=True)
        order = np.argsort(ids[window], kind="stable")
        relevant = row_sets(np.concatenate([[0], np.cumsum(sizes)]), items[window][order])
        decayed = np.bincount(
            items[past], 0.5 ** ((cut - seconds[past]) / 86_400 / 30), len(catalogue)
        )
        base = np.log(decayed + 0.5)
        had, gains = histories_of(ids[past], items[past]), {}
        for strength in (None, *STRENGTHS):
            chosen = NewcomerSettings(strength=strength or 1, columns=COLUMNS)
            known = newcomers.fit(users, had, len(catalogue), chosen)
            assert known is not None
            combinations, member = known.groups(who.tolist())
            lifts = [base + known.lift(one) if strength else base for one in combinations]
            best = np.stack([np.argsort(-scores, kind="stable")[:K] for scores in lifts])
            found = match(best[member], relevant)
            gains[strength] = ndcg_at_k(found, K)
            gain = paired_difference(gains[strength], gains[None], np.random.default_rng(0))
            told = f"{gain.mean:+.4f} [{gain.low:+.4f} {gain.high:+.4f}]" if strength else ""
            recall, ndcg = recall_at_k(found, K).mean(), gains[strength].mean()
            name = strength or "popular list"
            print(f"| {day} | {len(who)} | {name} | {recall:.4f} | {ndcg:.4f} | {told} |")


if __name__ == "__main__":
    main()

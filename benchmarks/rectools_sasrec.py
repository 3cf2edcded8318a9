"""RecTools' SASRec on MovieLens-1M, leave-one-out, to stand beside ours in the same run.

    pip install rectools pytorch-lightning "pandas<3"
    python benchmarks/rectools_sasrec.py [FOLDER] [--minutes 15]

The same log, targets, full ranking and metrics as `configs/movielens_leave_one_out.toml`; the same
width, blocks, length and candidates (full softmax), 32 users a batch, which learns faster than its
default of 128 in the same time; everything else as RecTools has it. It is
trained on all events but the last of each user, in rounds of one epoch until the minutes are
spent, and asked after each. Results in `README.md` here.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from recsys.evaluation.lists import RowSets
from recsys.evaluation.metrics import match, ndcg_at_k, recall_at_k

K = 10


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All events but the last of each user in stable order, and these last ones."""
    frame = pl.read_parquet(folder / "interactions.parquet")
    frame = frame.sort("user_id", "timestamp", maintain_order=True)
    earlier = pl.int_range(pl.len()).over("user_id") < pl.len().over("user_id") - 1
    columns = {"user_id": Columns.User, "item_id": Columns.Item, "timestamp": Columns.Datetime}
    frame = frame.with_columns(earlier.alias("earlier")).rename(columns)
    frame = frame.with_columns(pl.lit(1.0).alias(Columns.Weight))
    # RecTools sorts by time; ties keep the log's order only if no two times are equal
    place = pl.int_range(pl.len()).over(Columns.User)
    frame = frame.with_columns(
        pl.col(Columns.Datetime).cast(pl.Datetime("us")) + pl.duration(microseconds=place)
    )
    kept = [*columns.values(), Columns.Weight]
    known, wanted = frame.filter("earlier"), frame.filter(~pl.col("earlier"))
    return known.select(kept).to_pandas(), wanted.select(kept).to_pandas()


def judged(model: SASRecModel, dataset: Dataset, wanted: pd.DataFrame) -> tuple[float, float]:
    """Mean HR@10 and NDCG@10 over all users, seen items left out."""
    users = wanted[Columns.User].to_numpy()
    made = model.recommend(users, dataset, k=K, filter_viewed=True)
    codes = {item: code for code, item in enumerate(dataset.item_id_map.external_ids)}
    unknown = len(codes)
    lists = made.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item]
    by_user = lists.apply(lambda items: [codes[item] for item in items])
    ranked = np.array([by_user[user] for user in users])
    targets = np.array([codes.get(item, unknown) for item in wanted[Columns.Item]])
    relevant = RowSets(np.arange(len(users) + 1), targets)
    found = match(ranked, relevant)
    return float(recall_at_k(found, K).mean()), float(ndcg_at_k(found, K).mean())


def main() -> None:
    """Prints a row after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/movielens-1m"))
    parser.add_argument("--minutes", type=float, default=15)
    chosen = parser.parse_args()
    known, wanted = read(chosen.folder)
    dataset = Dataset.construct(known)
    model = SASRecModel(
        n_blocks=2, n_heads=2, n_factors=64, session_max_len=200, batch_size=32, loss="softmax",
        epochs=1, deterministic=True, recommend_torch_device="cpu",
    )  # fmt: skip
    print("| epoch | minutes of CPU | HR@10 | NDCG@10 | GB |\n| --- | --- | --- | --- | --- |")
    epoch, spent = 0, 0.0
    while spent < chosen.minutes * 60:
        begun = time.process_time()
        if epoch:
            model.fit_partial(dataset, min_epochs=1, max_epochs=1)
        else:
            model.fit(dataset)
        spent, epoch = spent + time.process_time() - begun, epoch + 1
        hits, gain = judged(model, dataset, wanted)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"| {epoch} | {spent / 60:.1f} | {hits:.4f} | {gain:.4f} | {memory:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()

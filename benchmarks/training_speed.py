"""Training speed beside RecTools' SASRec: tokens per CPU second, in turn, on MovieLens-1M.

    python -m venv /tmp/rectools
    /tmp/rectools/bin/pip install rectools pytorch-lightning "pandas<3" "torch>=2.13,<2.14" polars
    python benchmarks/training_speed.py --rectools /tmp/rectools/bin/python

Both train on the same users, at the same width, blocks, heads and length, on all events of a
user's last 200; full softmax, or 256 sampled candidates (ours: beside the items of the batch, some
3,000). `default` is our own block, `sasrec` one of SASRec's size: no biases of time and distance,
no running mean, a feed-forward as wide as the model. A token is an event that is foreseen.
Ours has a batch of as many events as RecTools' of 128 users has on average. Each side warms up
before it is timed. CPU seconds, because the machine is shared, and seconds by the clock, which mean
something on a quiet one; `--threads` is for either side.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCKS_OF = {
    "default": [],
    "sasrec": [
        "model.users.attention_bias=false", "model.users.expansion=1",
        "model.users.long_term=false",
    ],
}  # fmt: skip
WIDTH, BLOCKS, HEADS, LENGTH, USERS_A_BATCH, SAMPLED = 64, 2, 1, 200, 128, 256
CLOCKS = ["cpu", "wall"]


def subset(source: Path, folder: Path, users: int) -> None:
    """Writes the events of every so many-th user, and all items."""
    import polars as pl

    frame = pl.read_parquet(source / "interactions.parquet")
    ids = frame["user_id"].unique().sort()
    kept = ids.gather_every(max(1, len(ids) // users))
    frame.filter(pl.col("user_id").is_in(kept.implode())).write_parquet(
        folder / "interactions.parquet"
    )
    items = pl.read_parquet(source / "items.parquet", columns=["item_id", "title"])
    items.write_parquet(folder / "items.parquet")


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ours(folder: Path, sampled: bool, block: str, threads: int) -> dict[str, float]:
    """One epoch's steps after three that warm up."""
    import torch

    from pipelines import ingest, inputs, lessons
    from pipelines.runs import Run
    from pipelines.settings import Settings
    from recsys import memory
    from recsys.models import two_tower
    from recsys.models.precision import quick_products
    from recsys.settings import load
    from recsys.training import run as training

    torch.set_num_threads(threads)
    memory.keep_freed()
    candidates = ["train.batches.candidates=mixed", f"train.batches.negatives={SAMPLED}"]
    chosen = load(Settings, Path("configs/movielens_leave_one_out.toml"), [
        f"data.folder={folder}", f"work={folder / 'work'}", "tracking.enabled=false",
        f"model.width={WIDTH}", f"model.users.blocks={BLOCKS}", f"model.users.heads={HEADS}",
        f"model.users.max_length={LENGTH}", "model.users.request_time=false",
        "train.batches.windows=last", *BLOCKS_OF[block],
        f"train.batches.batch_events={USERS_A_BATCH * 120}",
        *(candidates if sampled else ["train.batches.candidates=full"]),
    ])  # fmt: skip
    if not (folder / "work" / "interactions").exists():
        ingest.run(chosen, Run(""))
    found = inputs.load(chosen)
    lesson = lessons.prepare(chosen, found, found.split(chosen))
    model = two_tower.build(chosen.model, lesson.data.features, chosen.event_names, 0)
    run = training.Run(model, lesson.data, chosen.train, None)
    run.place.train()
    tokens, begin, wall = 0, 0.0, 0.0
    with quick_products():
        for epoch in range(2):
            for number, batch in enumerate(run.batches.epoch(epoch)):
                if (epoch, number) == (0, 2):
                    tokens, begin, wall = 0, time.process_time(), time.monotonic()
                run._step(batch)
                tokens += len(batch.places)
    return {
        "tokens": tokens,
        "cpu": time.process_time() - begin,
        "wall": time.monotonic() - wall,
        "gib": peak_gib(),
    }


def rectools(folder: Path, sampled: bool, threads: int) -> dict[str, float]:
    """The second epoch of two."""
    import pandas as pd
    import polars as pl
    import torch
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(threads)
    frame = pl.read_parquet(folder / "interactions.parquet").sort("user_id", "timestamp")
    seconds = frame["timestamp"].dt.epoch("s").to_list()
    known = pd.DataFrame({
        Columns.User: frame["user_id"].to_list(), Columns.Item: frame["item_id"].to_list(),
        Columns.Datetime: pd.to_datetime(seconds, unit="s"), Columns.Weight: 1.0,
    })  # fmt: skip
    sizes = frame.group_by("user_id").len()["len"].to_list()
    more = {"loss": "sampled_softmax", "n_negatives": SAMPLED} if sampled else {"loss": "softmax"}
    model = SASRecModel(
        n_blocks=BLOCKS, n_heads=HEADS, n_factors=WIDTH, session_max_len=LENGTH,
        batch_size=USERS_A_BATCH, epochs=1, deterministic=True, recommend_torch_device="cpu",
        **more,
    )  # fmt: skip
    dataset = Dataset.construct(known)
    model.fit(dataset)
    begin, wall = time.process_time(), time.monotonic()
    model.fit_partial(dataset, min_epochs=1, max_epochs=1)
    return {
        "tokens": sum(min(LENGTH, size - 1) for size in sizes),
        "cpu": time.process_time() - begin,
        "wall": time.monotonic() - wall,
        "gib": peak_gib(),
    }


def measured(python: str, side: str, folder: Path, loss: str, threads: str) -> dict[str, float]:
    """One side in a process of its own."""
    words = [python, __file__, "--side", side, "--folder", str(folder), "--loss", loss]
    words += ["--threads", threads]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": threads}
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rectools", default="")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/movielens-1m"))
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loss", choices=["full", "sampled"], default="full")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", default="")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.side:
        sampled = asked.loss == "sampled"
        made = (
            rectools(asked.folder, sampled, asked.threads)
            if asked.side == "rectools"
            else ours(asked.folder, sampled, asked.side, asked.threads)
        )
        print(json.dumps(made))
        return
    sides = [*BLOCKS_OF, *(["rectools"] if asked.rectools else [])]
    rates: dict[str, dict[str, list[float]]] = {
        clock: {side: [] for side in sides} for clock in CLOCKS
    }
    with tempfile.TemporaryDirectory() as name:
        subset(asked.data, Path(name), asked.users)
        for _ in range(asked.rounds):
            for side in sides:
                python = asked.rectools if side == "rectools" else sys.executable
                made = measured(python, side, Path(name), asked.loss, str(asked.threads))
                for clock, rate in rates.items():
                    rate[side].append(made["tokens"] / made[clock])
                print(side, {key: round(value, 2) for key, value in made.items()}, flush=True)
    for clock, rate in rates.items():
        for side in sides:
            middle = statistics.median(rate[side])
            print(f"{asked.loss} {side:9} {middle:9,.0f} tokens per {clock} second")
        for block in BLOCKS_OF if asked.rectools else []:
            ratios = sorted(a / b for a, b in zip(rate[block], rate["rectools"], strict=True))
            told = f"{statistics.median(ratios):.2f} [{ratios[0]:.2f} {ratios[-1]:.2f}]"
            print(f"{block} / rectools, {clock} seconds: {told}")


if __name__ == "__main__":
    main()

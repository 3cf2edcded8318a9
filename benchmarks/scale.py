"""Does cost grow linearly, and does `recsys plan` foresee it? Runs of several sizes.

    python benchmarks/scale.py 500x2000 1500x2000 1500x8000 4500x2000
    python benchmarks/scale.py --only ingest 10000x2000 30000x2000 90000x2000

Each load (users x items) is generated, ingested, trained for one epoch, judged and listed, each by
a command in a process of its own: its CPU seconds, imports included, its peak memory, and the bytes
of what it published. Through all loads but the last goes a plane over (1, events, items), which
is set beside the last one. `pipelines/costs.py` has its constants from here.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

DAYS, DAY = 60, 86_400
MADE = {
    "ingest": ("interactions", "catalogue"),
    "train": ("embeddings", "models", "checkpoints"),
    "nightly": ("releases", "bases"),
}


def generate(folder: Path, users: int, events: int, items: int) -> Path:
    """A log of `users * events` rows, items by a Zipf law; items with a title, nothing else."""
    random = np.random.default_rng(users)
    count = users * events
    weights = 1 / np.arange(1, items + 1)
    chosen = random.choice(items, count, p=weights / weights.sum())
    seconds = random.integers(1_700_000_000, 1_700_000_000 + DAYS * DAY, count)
    folder.mkdir(parents=True)
    log = pl.DataFrame({
        "user_id": [f"u{number:08d}" for number in np.repeat(np.arange(users), events)],
        "item_id": [f"i{number:07d}" for number in chosen],
        "timestamp": pl.Series(seconds * 1_000_000).cast(pl.Datetime("us", "UTC")),
    })  # fmt: skip
    log.write_parquet(folder / "interactions.parquet")
    names = [f"i{number:07d}" for number in range(items)]
    titles = [f"thing {number % 97} {number % 89}" for number in range(items)]
    pl.DataFrame({"item_id": names, "title": titles}).write_parquet(folder / "items.parquet")
    return folder / "interactions.parquet"


def command(name: str, folder: Path) -> dict[str, float]:
    """CPU seconds, peak memory in MB and published MB of one command."""
    words = [
        f"work={folder / 'work'}", f"data.folder={folder}", "tracking.enabled=false",
        "train.epochs=1", "split.validation_days=7", "split.test_days=7",
        'evaluation.baselines.names=["popular"]', "gates.rules.beats_popular.on=false",
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", name, *words], check=False, capture_output=True,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-1000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = max((folder / "work/runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return {
        "s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "MB memory": json.loads(record.read_text())["peak_rss_mib"] * 2**20 / 1e6,
        "MB disk": sum(size(folder / "work" / part) for part in MADE.get(name, ())) / 1e6,
    }


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measured(users: int, items: int, events: int, names: list[str]) -> dict[str, float]:
    """All figures of one load."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shop"
        log = generate(folder, users, events, items)
        begin = time.process_time()
        pl.read_parquet(log).sort("user_id", "timestamp", maintain_order=True)
        found["bare sort s"] = time.process_time() - begin
        for stage in names:
            found |= {f"{stage} {what}": value for what, value in command(stage, folder).items()}
    return found


def main() -> None:
    """Prints a row for each load, then a row for each quantity: its plane and the last load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loads", nargs="+", help="users x items, such as 500x2000")
    parser.add_argument("--events", type=int, default=30, help="of each user")
    parser.add_argument("--only", default="ingest,train,evaluate,nightly")
    asked = parser.parse_args()
    rows, touched = [], []
    for load in asked.loads:
        users, items = map(int, load.split("x"))
        rows.append(measured(users, items, asked.events, asked.only.split(",")))
        touched.append((1, users * asked.events, items))
        print(
            load,
            json.dumps({name: round(value, 3) for name, value in rows[-1].items()}),
            flush=True,
        )
    print(
        "| | " + " | ".join(asked.loads) + " | last / first | one | an event | an item | foreseen |"
    )
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        plane = np.linalg.lstsq(np.array(touched[:-1], float), values[:-1], rcond=None)[0]
        foreseen = float(np.array(touched[-1]) @ plane)
        told = [f"{value:.2f}" for value in values] + [f"{values[-1] / max(values[0], 1e-9):.1f}"]
        told += [f"{value:.3g}" for value in plane] + [f"{foreseen:.2f}"]
        print(f"| {key} | " + " | ".join(told) + " |")


if __name__ == "__main__":
    main()

"""Does cost grow linearly, and does `recsys plan` foresee it? Runs of several sizes.

    python benchmarks/scale.py 500x2000 1500x2000 1500x8000 4500x2000
    python benchmarks/scale.py --only ingest --events 50 20000x20000 200000x20000 2000000x20000
    python benchmarks/scale.py --events 20 --set train.catch_up_epochs=1 2000x2000 20000x2000

Each load (users x items) is generated, ingested, trained for one epoch, judged and listed, each by
a command in a process of its own: its CPU seconds, imports included, its peak memory, and the bytes
of what it published; each is printed as it comes. Of four loads and more, a plane over (1, events,
items) through all but the last is set beside the last one. `pipelines/costs.py` has its constants
from here.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

DAYS, DAY = 60, 86_400
PART = 1_000_000  # rows of a file
SAMPLED = 0.02  # seconds between looks at a process's memory
SORT = "'user_id', 'timestamp', maintain_order=True"
MADE = {
    "ingest": ("interactions", "catalogue"),
    "train": ("embeddings", "models", "checkpoints"),
    "nightly": ("releases", "bases"),
}


def generate(folder: Path, users: int, events: int, items: int) -> Path:
    """A log of `users * events` rows in files of a million; items by a Zipf law, each with a title
    of its own.
    """
    random = np.random.default_rng(users)
    weights = 1 / np.arange(1, items + 1)
    log = folder / "interactions"
    log.mkdir(parents=True)
    for begin in range(0, users * events, PART):
        rows = np.arange(begin, min(begin + PART, users * events))
        chosen = random.choice(items, len(rows), p=weights / weights.sum())
        seconds = random.integers(1_700_000_000, 1_700_000_000 + DAYS * DAY, len(rows))
        pl.DataFrame({
            "user_id": named("u", pl.Series(rows % users), 8),
            "item_id": named("i", pl.Series(chosen), 7),
            "timestamp": pl.Series(seconds * 1_000_000).cast(pl.Datetime("us", "UTC")),
        }).write_parquet(log / f"part-{begin // PART:04d}.parquet")  # fmt: skip
    numbers = pl.Series(range(items))
    title = "thing " + (numbers % 97).cast(pl.String) + " " + numbers.cast(pl.String)
    pl.DataFrame({"item_id": named("i", numbers, 7), "title": title}).write_parquet(
        folder / "items.parquet"
    )
    return log


def named(letter: str, numbers: pl.Series, digits: int) -> pl.Series:
    """Ids such as u00000042."""
    return letter + numbers.cast(pl.String).str.zfill(digits)


def command(name: str, folder: Path, more: list[str]) -> dict[str, float]:
    """CPU seconds, peak memory in MB and published MB of one command."""
    words = [
        f"work={folder.parent / 'work'}", f"data.folder={folder}", "tracking.enabled=false",
        "train.epochs=1", "split.validation_days=7", "split.test_days=7",
        'evaluation.baselines.names=["popular"]', "gates.rules.beats_popular.on=false",
        "gates.rules.one_direction.on=false", "gates.rules.one_item_in_lists.on=false",
    ]  # fmt: skip
    used = process(["-m", "pipelines", name, *words, *more])
    made = sum(size(folder.parent / "work" / part) for part in MADE.get(name, ())) / 1e6
    return used | {"MB disk": made}


def process(words: list[str]) -> dict[str, float]:
    """CPU seconds, minutes, peak memory in MB of a Python process, and of what is not in files."""
    begin, own = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as told:
        started = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=told,
            env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        )  # fmt: skip
        while not (ended := os.wait4(started.pid, os.WNOHANG))[0]:
            own = max(own, anonymous(started.pid))
            time.sleep(SAMPLED)
        _, status, usage = ended
        if status:
            told.seek(0)
            raise SystemExit(f"{words[:3]} failed: {told.read()[-1000:]}")
    return {
        "s": usage.ru_utime + usage.ru_stime,
        "minutes": (time.perf_counter() - begin) / 60,
        "MB memory": usage.ru_maxrss * 1024 / 1e6,
        "MB not in files": own / 1e6,
    }


def anonymous(process: int) -> int:
    """Bytes of memory that lie in no file: what the kernel cannot take back."""
    found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measured(
    users: int, items: int, events: int, names: list[str], more: list[str]
) -> dict[str, float]:
    """All figures of one load."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shop"
        log = generate(folder, users, events, items)
        sort = f"import polars as pl; pl.scan_parquet('{log}/*.parquet').sort({SORT})"
        for way, end in (("", ".collect()"), (", streaming", f".sink_parquet('{name}/s')")):
            used = process(["-c", sort + end])
            found |= {f"bare sort{way} {what}": value for what, value in used.items()}
        for stage in names:
            used = command(stage, folder, more)
            found |= {f"{stage} {what}": value for what, value in used.items()}
            print(f"{users}x{items}", stage, json.dumps(used), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Prints a row for each load, then a row for each quantity: its plane and the last load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loads", nargs="+", help="users x items, such as 500x2000")
    parser.add_argument("--events", type=int, default=30, help="of each user")
    parser.add_argument("--only", default="ingest,train,evaluate,nightly")
    parser.add_argument("--set", action="append", default=[], help="such as data.buckets=64")
    asked = parser.parse_args()
    rows, touched = [], []
    for load in asked.loads:
        users, items = map(int, load.split("x"))
        rows.append(measured(users, items, asked.events, asked.only.split(","), asked.set))
        touched.append((1, users * asked.events, items))
        print(
            load,
            json.dumps({name: round(value, 3) for name, value in rows[-1].items()}),
            flush=True,
        )
    planes = len(rows) > 3
    heads = [*asked.loads, *(f"x {load}" for load in asked.loads[1:])]
    heads += ["one", "an event", "an item", "foreseen"] if planes else []
    print("| | " + " | ".join(heads) + " |")
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        told = [f"{value:.2f}" for value in values]
        told += [f"{value:.1f}" for value in values[1:] / np.maximum(values[:-1], 1e-9)]
        if planes:
            plane = np.linalg.lstsq(np.array(touched[:-1], float), values[:-1], rcond=None)[0]
            told += [f"{value:.3g}" for value in (*plane, float(np.array(touched[-1]) @ plane))]
        print(f"| {key} | " + " | ".join(told) + " |")


if __name__ == "__main__":
    main()

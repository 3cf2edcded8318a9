"""Does the evaluation leak? With items that tell nothing, nothing may beat chance.

    python benchmarks/shuffled_targets.py [FOLDER]

Three sample shops in FOLDER (default `work/shuffled`), each trained and judged by the commands: as
it is; with items exchanged among all events of the same day, so that popularity stays and tastes
go; and with an item drawn evenly from those that exist, so that nothing is left. Results in
`README.md` here.
"""

import argparse
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines import cli
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

METRIC = "recall_at_10"
BORN = {"item_id": pl.String, "created_at": pl.String, "available": pl.Boolean}
SYSTEMS = ("lists", "model", "recent_popular", "popular")


def exchanged(log: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """Items permuted among the events of a day."""
    day = log["timestamp"].str.slice(0, 10)
    order = log.with_columns(day=day, key=draw.random(len(log)), place=pl.int_range(pl.len()))
    items = order.sort("day", "key")["item_id"]
    return (
        order.sort("day", "place").with_columns(items.alias("item_id")).sort("place")[log.columns]
    )


def drawn(log: pl.DataFrame, born: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """Each event's item drawn evenly from those that exist at its time."""
    born = born.sort("created_at")
    there = born["created_at"].search_sorted(log["timestamp"], side="right").to_numpy()
    chosen = (draw.random(len(log)) * there).astype(np.int64)
    return log.with_columns(born["item_id"][chosen].alias("item_id"))


def chance(born: pl.DataFrame, facts: dict[str, Any]) -> float:
    """Expected recall of ten random items among those that can be listed."""
    there = born.filter("available", pl.col("created_at").str.slice(0, 19) < facts["from"][:19])
    return 10 / len(there) * (1 - float(facts["unlistable"]))


def judged(work: Path, shop: Path) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Rows of the evaluation table for `METRIC` by system, and its facts."""
    chosen = [f"work={work}", f"data.folder={shop}", "tracking.enabled=false"]
    for command in (["ingest"], ["train"], ["evaluate", "--json"]):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            if cli.invoke([*command, *chosen]):
                raise SystemExit(f"{command[0]} failed")
    table = json.loads(printed.getvalue())
    rows = {row["system"]: row for row in table["rows"] if row["metric"] == METRIC}
    return rows, table["facts"]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("work/shuffled"))
    folder = parser.parse_args().folder
    print("| items of events | " + " | ".join(SYSTEMS) + " | chance |")
    print("| --- |" + " --- |" * (len(SYSTEMS) + 1))
    for kind in ("as they are", "exchanged within a day", "drawn evenly"):
        shop = folder / kind.replace(" ", "-")
        write_shop(ShopSettings(broken=0), shop)
        log = pl.read_csv(shop / "interactions.csv", infer_schema=False)
        born = pl.read_ndjson(shop / "items.jsonl", schema=BORN)
        draw = np.random.default_rng(0)
        match kind:
            case "exchanged within a day":
                log = exchanged(log, draw)
            case "drawn evenly":
                log = drawn(log, born, draw)
        log.write_csv(shop / "interactions.csv")
        rows, facts = judged(folder / f"work-{shop.name}", shop)
        cells = [
            f"{rows[s]['mean']:.4f} [{rows[s]['low']:.4f} {rows[s]['high']:.4f}]" for s in SYSTEMS
        ]
        print(f"| {kind} | " + " | ".join(cells) + f" | {chance(born, facts):.4f} |", flush=True)


if __name__ == "__main__":
    main()

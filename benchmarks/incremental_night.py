"""What a night made again costs when the events of 5 % of the users came in late.

    python benchmarks/incremental_night.py [--users 3000] [--events 200000] [--share 0.05]

A generated shop with a file of events a day and a trained model. A night is published; late events
of a share of the users are added to the last day's file; the day is made again twice: with what the
first run left (`nightly.reruns=changed`), and in a work folder that has nothing but the model and
the day's basis, with `--anew`. Both releases must be the same, byte for byte. Beside them stands
`nightly.reruns=whole`, which learns the late events too and lists everybody. Results: `README.md`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

DATE, LAST = "2026-10-30", "2026-10-29"
STAGES = ("ingest", "encode", "catch_up", "vectors", "lists", "publish")


def main() -> None:
    """Prints a table of seconds by stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--items", type=int, default=1500)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--share", type=float, default=0.05)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sizes = {"users": asked.users, "items": asked.items, "events": asked.events}
        write_shop(ShopSettings(**sizes, broken=0), folder / "shop")
        rows = by_day(folder / "shop")
        night(folder, "work")
        late = late_rows(rows, asked.share)
        with (folder / "shop" / "interactions" / f"{LAST}.csv").open("a") as stream:
            stream.writelines(f"{row}\n" for row in late)
        for name in ("models", "evaluations", "bases"):
            shutil.copytree(folder / "work" / name, folder / "full" / name)
        shutil.copytree(folder / "work", folder / "whole")
        changed = night(folder, "work")
        full = night(folder, "full", "--anew")
        whole = night(folder, "whole", "nightly.reruns=whole")
        same = changed["lists_of"] == full["lists_of"]
        told(asked, len(late), changed["lists"], same, [changed, full, whole])


def by_day(shop: Path) -> list[str]:
    """Splits the log into a file a day; returns its rows."""
    rows = (shop / "interactions.csv").read_text().splitlines()[1:]
    (shop / "interactions.csv").unlink()
    (shop / "interactions").mkdir()
    days: dict[str, list[str]] = {}
    for row in rows:
        days.setdefault(row.split(",")[2][:10], []).append(row)
    for day, some in days.items():
        text = "\n".join(["user_id,item_id,timestamp,event", *some])
        (shop / "interactions" / f"{day}.csv").write_text(text + "\n")
    return rows


def late_rows(rows: list[str], share: float) -> list[str]:
    """One more view of the last day for a share of all users with events."""
    random = np.random.default_rng(0)
    users = sorted({row.split(",")[0] for row in rows})
    items = [row.split(",")[1] for row in rows]
    chosen = random.choice(users, round(share * len(users)), replace=False)
    return [f"{user},{random.choice(items)},{LAST}T23:10:00Z,view" for user in chosen]


def night(folder: Path, work: str, *more: str) -> dict[str, Any]:
    """Runs a night in a process of its own; its record, and its lists' hashes."""
    settings = [
        f"work={folder / work}", f"data.folder={folder / 'shop'}", "tracking.enabled=false",
        "train.epochs=2", "evaluation.draws=100", "nightly.reruns=changed",
        "gates.rules.gains_on_popular.on=false", "gates.rules.one_direction.on=false",
    ]  # fmt: skip
    command = [sys.executable, "-m", "pipelines", "nightly", "--date", DATE, *settings, *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    paths = (folder / work / "runs").glob("*/run.json")
    record: dict[str, Any] = json.loads(max(paths, key=lambda p: p.stat().st_mtime).read_text())
    releases = folder / work / "releases"
    live = releases / (releases / "CURRENT").read_text().strip() / "manifest.json"
    files = json.loads(live.read_text())["files"]
    kinds = ("lists/", "similar/", "popular")
    return record | {"lists_of": {n: f["sha256"] for n, f in files.items() if n.startswith(kinds)}}


def told(
    asked: argparse.Namespace, late: int, lists: dict[str, int], same: bool,
    records: list[dict[str, Any]],
) -> None:  # fmt: skip
    """Prints what was measured."""
    print(f"{asked.users:,} users, {asked.items:,} items, about {asked.events:,} events")
    print(f"{late:,} users with a late event: {lists['made']:,} lists made, {lists['kept']:,} kept")
    print(f"changed and full: {'the same bytes' if same else 'NOT THE SAME'}\n")
    for clock in ("seconds", "cpu_seconds"):  # on a busy machine the second says more
        shown = [{stage: record[clock][stage] for stage in STAGES} for record in records]
        print(f"| {clock} | changed | full, same basis | whole |\n| --- | --- | --- | --- |")
        for stage in STAGES:
            print(f"| {stage} | " + " | ".join(f"{one[stage]:.2f}" for one in shown) + " |")
        totals = [sum(one.values()) for one in shown]
        print("| all | " + " | ".join(f"{total:.2f}" for total in totals) + " |")
        print("| changed over this | " + " | ".join(f"{totals[0] / t:.2f}" for t in totals) + " |")
        print()


if __name__ == "__main__":
    main()

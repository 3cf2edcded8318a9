"""Do the defaults serve a shop of another kind? 20,000 items, short histories, no photo, no clip.

    python benchmarks/other_shop.py [FOLDER] [--trials N]

Writes the shop to FOLDER (default `work/other-shop`), trains with the defaults, searches N settings
with `recsys tune` on the validation window, trains with the best of them, and judges both models
once on the test window. Both stages go on where they stopped. Results in `README.md` here.
"""

import argparse
import contextlib
import io
import json
import tomllib
from pathlib import Path
from typing import Any

from pipelines import cli
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

SHOP = ShopSettings(
    items=20_000, users=20_000, days=90, events=240_000, seed=5, taste=2.0, fashion=1.2, burst=0.8,
    novelty=1.0, novelty_days=30, first=0.8, drifting=0.1, no_photo=1, no_clip=1, broken=0,
)  # fmt: skip
METRICS = ("recall_at_10", "ndcg_at_10")
BASELINES = ("popular", "recent_popular", "markov", "item_knn", "ease")


def called(*words: str) -> dict[str, Any]:
    """The JSON result of a command."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if cli.invoke([*words, "--json"]):
            raise SystemExit(f"{words[0]} failed")
    result: dict[str, Any] = json.loads(printed.getvalue())
    return result


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("work/other-shop"))
    parser.add_argument("--trials", type=int, default=12)
    chosen = parser.parse_args()
    shop, work = chosen.folder / "shop", chosen.folder / "work"
    if not shop.exists():
        write_shop(SHOP, shop)
    given = [f"work={work}", f"data.folder={shop}", "tracking.enabled=false"]
    called("ingest", *given)
    called("tune", "--trials", str(chosen.trials), *given)
    tuned = tomllib.loads((work / "tuned.toml").read_text())
    print("tuned:", json.dumps(tuned))
    print(
        "| settings | system | "
        + " | ".join(METRICS)
        + " |\n| --- | --- |"
        + " --- |" * len(METRICS)
    )
    for name, config in (("default", []), ("tuned", ["--config", str(work / "tuned.toml")])):
        called("train", *config, *given)
        rows = called("evaluate", *config, *given)["rows"]
        for system in ("lists", "caught_up", "model", *(BASELINES if name == "default" else ())):
            found = {row["metric"]: row for row in rows if row["system"] == system}
            if not found:  # EASE is left out where there are too many items
                continue
            cells = [
                "{mean:.4f} [{low:.4f} {high:.4f}]".format(**found[metric]) for metric in METRICS
            ]
            print(f"| {name} | {system} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""`recsys demo`: writes the sample shop and runs every stage on it, as a user would."""

import shlex
from pathlib import Path
from typing import Any

from pipelines import evaluate, ingest, nightly, steer, train
from pipelines.ablation import Ablation
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import settings as reading
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.progress import say


def demo_settings(folder: Path, overrides: list[str]) -> Settings:
    """The defaults, in `folder`, with its sample shop as the dataset."""
    places = [f'work="{folder}"', f'data.folder="{folder / "shop"}"']
    return reading.load(Settings, None, [*places, *overrides])


def run(settings: Settings, run: Run) -> dict[str, Any]:
    """All stages; a demo that was interrupted goes on where it stopped."""
    shop = Path(settings.data.folder)
    with run.timed("shop"):
        if not shop.exists():
            say(f"writing the sample shop to {shop}")
            write_shop(ShopSettings(), shop)
    say("ingest: reading, checking and cleaning the catalogue and the log")
    ingested = ingest.run(settings, run)
    say("train: encoding what is new, then both towers and the reranker")
    trained = train.run(settings, run)
    say("evaluate: the test window, beside baselines, without each modality; what variety costs")
    wanted = Ablation(("text", "image", "video"))
    judged = evaluate.run(settings, run, wanted, evaluate.Extras(trade_off=True))
    say("nightly: lists for everybody, gates, report")
    published = nightly.run(settings, run, date="", dry_run=False)
    checked = steer.verify(settings)
    parts = [ingested, trained, judged, published, checked]
    here = f"work={shlex.quote(settings.work)} data.folder={shlex.quote(settings.data.folder)}"
    texts = [*(str(part["text"]) for part in parts), f"look at it: recsys explore {here}"]
    return {
        "text": "\n\n".join(texts),
        "ingest": {k: v for k, v in ingested.items() if k != "text"},
        "release": published["release"],
        "evaluation": judged["evaluation"],
        "seconds": run.facts["seconds"],
    }

"""Which towers and losses pay: each variant trained on two sample shops, judged on validation.

    OMP_NUM_THREADS=1 python benchmarks/towers_and_losses.py [FOLDER] [--epochs N] [--only NAME ...]

Shops, embeddings and one JSON a training stay in FOLDER (default `work/towers`); trainings that are
there are not repeated. Prints a Markdown table; results in `README.md` here. A training takes about
a minute and a half of one core.
"""

import argparse
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines import encode, ingest, inputs, lessons
from pipelines.lessons import VALIDATION_K, Lesson
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import settings as reading
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.evaluation.metrics import match, recall_at_k
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.progress import say
from recsys.serving import recommend

FUSION, USERS = "model.items.fusion", "model.users"
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "default, another seed": ("train.seed=1",),
    "fusion sum": (f"{FUSION}.kind=sum",),
    "fusion concat": (f"{FUSION}.kind=concat",),
    "fusion attention, linear": (f"{FUSION}.scorer=linear",),
    "fusion attention, bilinear": (f"{FUSION}.scorer=bilinear",),
    "fusion attention, tanh": (f"{FUSION}.scorer=tanh",),
    "fusion deep": (f"{FUSION}.kind=deep",),
    "fusion late": (f"{FUSION}.kind=late",),
    "users gru": (f"{USERS}.kind=gru",),
    "users attention": (f"{USERS}.kind=attention",),
    "users mean": (f"{USERS}.kind=mean",),
    "candidates full": ("train.batches.candidates=full",),
    "candidates in batch": ("train.batches.candidates=in_batch",),
}


def chosen(work: Path, overrides: tuple[str, ...]) -> Settings:
    """Defaults and `overrides`, for the shop in `work`."""
    places = (f'work="{work}"', f'data.folder="{work / "shop"}"', "tracking.enabled=false")
    return reading.load(Settings, None, [*places, *overrides])


def lesson_of(work: Path, seed: int) -> Lesson:
    """A sample shop in `work`, written, ingested and encoded where it is not yet."""
    settings = chosen(work, ())
    if not (work / "shop").exists():
        write_shop(ShopSettings(seed=seed), work / "shop")
        ingest.run(settings, Run("ingest"))
    found = inputs.load(settings)
    encode.fill(settings, found)
    return lessons.prepare(settings, found, found.split(settings))


def trained(work: Path, lesson: Lesson, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Trains one variant and judges the towers alone on the validation window.

    Returns:
        recall_at_10, the same over items without training events, epochs, the recall after each of
        them, CPU seconds, mean weights of the modalities, number of parameters.
    """
    settings = chosen(work, overrides)
    begin = time.process_time()

    def report(metrics: Mapping[str, float], step: int) -> None:
        if "validation" in metrics:
            say(f"step {step}: validation {metrics['validation']:.4f}")

    model, result = lessons.fit(settings, lesson, None, report)
    features, asked = lesson.data.features, lesson.asked
    recommender = recommend.prepare(model, features, lesson.shop, asked.at_seconds, settings.lists)
    ranked = recommender.candidates(asked.known, moments=asked.moments).rows
    fresh = asked.relevant.restrict(~features.present[:, -1].numpy())
    return {
        "recall": result.best_metric,
        "new": float(np.nanmean(recall_at_k(match(ranked, fresh), VALIDATION_K))),
        "epochs": len(result.epochs),
        "course": [epoch.metric for epoch in result.epochs],
        "seconds": time.process_time() - begin,
        "modalities": listens(model, features),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


@torch.inference_mode()
def listens(model: TwoTower, features: ItemFeatures) -> dict[str, float]:
    """Mean weight of each modality over the items that training knows; empty where undefined."""
    known = features.gather(features.present[:, -1].nonzero().flatten())
    weights = model.item_tower.modality_weights(known)
    if weights is None:
        return {}
    means = weights.mean(dim=0).tolist()
    return dict(zip((*features.names, "id"), means, strict=True))


def main() -> None:
    """Trains what is not there yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("work/towers"))
    parser.add_argument("--epochs", type=int, help="at most; left out, as the settings say")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of the shops")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    asked = parser.parse_args()
    results = f"results-{asked.epochs}" if asked.epochs else "results"
    cap = (f"train.epochs={asked.epochs}",) if asked.epochs else ()
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in asked.only}
    for seed in asked.seeds:
        work = asked.folder / f"shop{seed}"
        lesson = lesson_of(work, seed)
        for name in asked.only:
            path = work / results / f"{name.replace(' ', '-')}.json"
            if not path.exists():
                say(f"shop {seed}: {name}")
                found = trained(work, lesson, (*VARIANTS[name], *cap))
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(found))
            rows[name].append(json.loads(path.read_text()))
    print(table(rows, asked.seeds))


def table(rows: dict[str, list[dict[str, Any]]], seeds: list[int]) -> str:
    """The results as Markdown, a row a variant, with machine and versions."""
    shops = " | ".join(f"shop {seed} | new items" for seed in seeds)
    lines = [
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)",
        "",
        f"| variant | {shops} | mean | epochs | CPU s | parameters | mean weights |",
        "| --- |" + " --- |" * (2 * len(seeds) + 5),
    ]
    for name, found in rows.items():
        cells = [f"{one[key]:.4f}" for one in found for key in ("recall", "new")]
        mean = np.mean([one["recall"] for one in found])
        epochs = ", ".join(str(one["epochs"]) for one in found)
        seconds = np.mean([one["seconds"] for one in found])
        heard = ", ".join(f"{name} {share:.2f}" for name, share in found[0]["modalities"].items())
        tail = f"{mean:.4f} | {epochs} | {seconds:.0f} | {found[0]['parameters']:,} | {heard}"
        lines.append(f"| {name} | {' | '.join(cells)} | {tail} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

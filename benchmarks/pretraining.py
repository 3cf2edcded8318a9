"""What pretraining is worth on the sample shop: search across modalities, and brand-new items.

    python benchmarks/pretraining.py --config configs/sample.toml [section.key=value ...]

A query is one modality of an item; right are the other items that share what it shows: theme and
kind (text), theme alone, colour and pattern (photo), motion (clip). Items are what content makes of
them, without their ids. Between modalities, items that no training has seen are asked for: a query
is one modality, and they show another one only. Of texts those count that say what is to be seen,
as half do in a shop of `write_shop(ShopSettings(described=0.5), folder)`; where none does, photo
and text share the kind. Lists by nearness are those of a shop that has trained no recommender yet:
what lies nearest to the mean of the last items that a user had. With --towers both towers are
trained from nothing and from the pretrained, for each of --seeds, and judged on validation and
test, all items and those without training events; a shop with a small log is one of
`ShopSettings(events=20_000)`. Results in `README.md` here.
"""

import argparse
import contextlib
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from pipelines import inputs, lessons, pretrain, questions
from pipelines.settings import Settings
from recsys.data.splits import TEST, VALIDATION
from recsys.data.synthetic import ShopSettings, plant
from recsys.evaluation.lists import row_sets
from recsys.evaluation.metrics import match, recall_at_k
from recsys.evaluation.ranking import rank
from recsys.evaluation.significance import paired_difference
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.serving import recommend, vectors
from recsys.settings import load

K = 10
LAST = 20  # items of a history that nearness asks about


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/sample.toml"))
    parser.add_argument("--towers", action="store_true", help="train both towers, too: minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of --towers")
    parser.add_argument("overrides", nargs="*")
    chosen = parser.parse_args()
    settings = load(Settings, chosen.config, chosen.overrides)
    found = inputs.load(settings)
    split = found.split(settings)
    lesson = lessons.prepare(settings, found, split)
    features = lesson.data.features
    print("| item tower | query | precision_at_10 | recall_at_10 | chance of one |")
    print("| --- | --- | --- | --- | --- |")
    untrained = two_tower.build(settings.model, features, settings.event_names, 0).eval()
    across("untrained", untrained, features)
    unseen = ~np.isin(found.vocabulary.ids, lesson.names)
    says = found.items["text"].fill_null("").str.contains("; see it ").to_numpy()
    made = pretrain.fit(settings, found)
    model = made.towers
    across("pretrained", model, features)
    print("\n| item tower | unseen items: from, to | recall_at_10 | chance | asked, of |")
    print("| --- | --- | --- | --- | --- |")
    for name, one in (("untrained", untrained), ("pretrained", model)):
        between(name, one, features, unseen, says)
    by_nearness(settings, found, features, unseen, (untrained, model))
    print("\n| objective | right before | right after | chance | answers |")
    print("| --- | --- | --- | --- | --- |")
    for figure in made.figures:
        print(f"| {figure.name} | {figure.before:.3f} | {figure.after:.3f} | {figure.chance:.3f} "
              f"| {figure.answers} |")  # fmt: skip
    if chosen.towers:
        both_towers(settings, found, model, chosen.seeds)


def by_nearness(
    settings: Settings, found: inputs.Inputs, features: ItemFeatures, unseen: np.ndarray,
    models: tuple[TwoTower, TwoTower],
) -> None:  # fmt: skip
    """Recall in the test window of lists by nearness; `unseen` items are also listed alone."""
    asked = questions.question(found.split(settings), TEST)
    past, everything = asked.known, np.ones_like(unseen)
    seen = row_sets(past.offsets, past.items)
    new = asked.relevant.restrict(unseen)
    cases = {
        "all items": (everything, asked.relevant),
        "items without training events": (everything, new),
        "the same, listed among themselves": (unseen, new),
    }
    print("\n| lists by nearness | users | untrained | pretrained | paired gain |")
    print("| --- | --- | --- | --- | --- |")
    for title, (eligible, relevant) in cases.items():
        told = []
        for model in models:
            made = vectors.of_items(model, features.only(features.names))
            made /= np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
            ends = zip(past.offsets[:-1], past.offsets[1:], strict=True)
            last = [made[past.items[max(a, b - LAST) : b]].mean(axis=0) for a, b in ends]
            lists = rank(np.stack(last) @ made.T, seen, eligible, K)
            told.append(recall_at_k(match(lists, relevant), K))
        gain = paired_difference(told[1], told[0], np.random.default_rng(0))
        print(f"| recall_at_10, {title} | {np.isfinite(told[0]).sum()} | "
              f"{np.nanmean(told[0]):.4f} | {np.nanmean(told[1]):.4f} | "
              f"{gain.mean:+.4f} [{gain.low:+.4f} {gain.high:+.4f}] |", flush=True)  # fmt: skip


def both_towers(
    settings: Settings, found: inputs.Inputs, begin: TwoTower, seeds: list[int]
) -> None:
    """Recall of the towers from nothing and from the pretrained, by user the mean of the seeds."""
    split = found.split(settings)
    told: dict[str, dict[str, list[np.ndarray]]] = {}
    for seed in seeds:
        chosen = settings.train.model_copy(update={"seed": seed})
        seeded = settings.model_copy(update={"train": chosen})
        lesson = lessons.prepare(seeded, found, split)
        known = np.isin(found.vocabulary.ids, lesson.names)
        for name, warm in (("from nothing", False), ("pretrained", True)):
            towers = trained(seeded, lesson, begin if warm else None)
            if seed == seeds[0]:
                across(f"trained {name}", towers, lesson.data.features)
            for what, recall in recalls(towers, lesson, seeded, found, known).items():
                told.setdefault(what, {}).setdefault(name, []).append(recall)
                print(f"seed {seed}, {name}, {what}: {np.nanmean(recall):.4f}", flush=True)
    print("\n| two towers alone | users | from nothing | pretrained | paired gain |")
    print("| --- | --- | --- | --- | --- |")
    for what, by in told.items():
        cold, warmed = (np.mean(by[name], axis=0) for name in ("from nothing", "pretrained"))
        gain = paired_difference(warmed, cold, np.random.default_rng(0))
        print(f"| recall_at_10, {what} | {np.isfinite(cold).sum()} | "
              f"{np.nanmean(cold):.4f} | {np.nanmean(warmed):.4f} | "
              f"{gain.mean:+.4f} [{gain.low:+.4f} {gain.high:+.4f}] |", flush=True)  # fmt: skip


def recalls(
    towers: TwoTower, lesson: lessons.Lesson, settings: Settings, found: inputs.Inputs,
    known: np.ndarray,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Recall of each user by window, of all items and of those that training does not know."""
    made, split = {}, found.split(settings)
    for window, part in (("validation", VALIDATION), ("test", TEST)):
        asked = questions.question(split, part)
        shop = found.shop(split.window(part).history, asked.at_seconds, today=False)
        features = lesson.data.features
        maker = recommend.prepare(towers, features, shop, asked.at_seconds, settings.lists)
        rows = maker.candidates(asked.known, moments=asked.moments).rows
        made[f"{window}, all items"] = recall_at_k(match(rows, asked.relevant), K)
        new = asked.relevant.restrict(~known)
        made[f"{window}, new items"] = recall_at_k(match(rows, new), K)
    return made


def trained(settings: Settings, lesson: lessons.Lesson, begin: TwoTower | None) -> TwoTower:
    """Towers trained on the lesson, from the item tower of `begin` where there is one."""
    with contextlib.ExitStack() as stack:
        if begin is not None:
            chosen = settings.pretrain.model_copy(update={"warm_start": True})
            settings = settings.model_copy(update={"pretrain": chosen})
            stack.enter_context(mock.patch.object(pretrain, "load", return_value=begin))
        model, _ = lessons.fit(settings, lesson, None, lambda *_: None)
    return model.cpu().eval()


def across(name: str, model: TwoTower, features: ItemFeatures) -> None:
    """A row for each kind of query."""
    truth = plant(ShopSettings())
    shown = {
        "text: theme and kind": ("text", truth.theme * 100 + truth.category),
        "text: theme": ("text", truth.theme),
        "photo: colour and pattern": ("image", truth.hue * 100 + truth.pattern),
        "clip: motion": ("video", truth.motion),
    }
    items = vectors.of_items(model, features.only(features.names))
    for title, (modality, value) in shown.items():
        has = features.present[:, features.names.index(modality)].numpy()
        scores = vectors.of_items(model, features.only((modality,))) @ items.T
        np.fill_diagonal(scores, -np.inf)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        hits = (value[best] == value[:, None])[has].sum(axis=1)
        alike = (np.bincount(value)[value] - 1)[has]
        recall, chance = np.mean(hits / alike), np.mean(alike) / (len(value) - 1)
        told = f"{np.mean(hits / K):.3f} | {recall:.4f} | {chance:.3f}"
        print(f"| {name} | {title} | {told} |", flush=True)


def between(
    name: str, model: TwoTower, features: ItemFeatures, unseen: np.ndarray, says: np.ndarray
) -> None:
    """A row for each pair of modalities: items `[N]` bool that nothing was learned from.

    Of texts only those count that say what is to be seen; where none does, they tell the kind.
    """
    truth = plant(ShopSettings())
    look, motion = truth.hue * 100 + truth.pattern, truth.motion
    if not says[unseen].any():
        look, motion, says = truth.category, truth.category, np.ones_like(says)
    pairs = (("text", "image", look), ("image", "text", look), ("text", "video", motion),
             ("video", "text", motion))  # fmt: skip
    for asked, shown, value in pairs:
        rows = [
            np.flatnonzero(
                unseen & features.present[:, features.names.index(one)].numpy()
                & (says | (one != "text"))
            )
            for one in (asked, shown)
        ]  # fmt: skip
        queries, keys = (
            vectors.of_items(model, features.gather(torch.from_numpy(some)).only((one,)))
            for one, some in zip((asked, shown), rows, strict=True)
        )
        right = value[rows[0]][:, None] == value[rows[1]]
        best = np.argsort(-(queries @ keys.T), axis=1, kind="stable")[:, :K]
        some = right.any(axis=1)
        hits = np.take_along_axis(right, best, 1)[some].sum(axis=1)
        recall = hits / right[some].sum(axis=1)
        print(f"| {name} | {asked} to {shown} | {recall.mean():.3f} | {K / len(keys):.3f} | "
              f"{some.sum()} of {len(keys)} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

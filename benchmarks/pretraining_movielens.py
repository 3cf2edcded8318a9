"""Real posters and plots: retrieval over held-out movies, and genres from each modality.

    python benchmarks/pretraining_movielens.py [section.key=value ...]

A fifth of the movies is held out. The item tower is pretrained on the others, encoders frozen, then
the poster of each held-out movie has to find its plot among all held-out plots, and the other way
round. Genres of the held-out movies are predicted from each modality, from all of them side by
side, and from the pretrained vector without attributes. Results in `README.md` here.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines import annotate, encode, inputs, sources
from pipelines.settings import Settings
from recsys.evaluation import probes
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.serving import co_consumption, vectors
from recsys.settings import load
from recsys.training import pretraining
from recsys.training.material import Material

QUERIES = (
    "a submarine crew in war", "two detectives hunt a serial killer", "talking toys",
    "a shark terrorises swimmers", "astronauts on a distant planet", "a boxer trains for a fight",
    "a western with gunslingers", "a vampire in the night", "a road trip of two friends",
    "a musical about dancers",
)  # fmt: skip


def main() -> None:
    """Prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/movielens.toml"))
    parser.add_argument("overrides", nargs="*")
    chosen = parser.parse_args()
    settings = load(Settings, chosen.config, chosen.overrides)
    found = inputs.load(settings)
    every = np.ones(len(found.vocabulary), np.bool_)
    state = encode.fit_attributes(settings, found, every)
    features = encode.item_features(settings, found, (), state)
    held = np.random.default_rng(0).random(len(features)) < 0.2
    before = two_tower.build(settings.model, features, settings.event_names, 0).eval()
    after = pretrained(settings, found, features, held)
    print("| movies | direction | tower | median rank | recall_at_10 | chance |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, model in (("untrained", before), ("pretrained", after)):
        for one, other in (("image", "text"), ("text", "image")):
            retrieval(name, model, features, held, (one, other))
    genres(features, after, found, held)
    queries(settings, found, features, after)


def pretrained(
    settings: Settings, found: inputs.Inputs, features: ItemFeatures, held: np.ndarray
) -> TwoTower:
    """A model whose item tower has seen neither content nor events of held-out movies."""
    split = found.split(settings)
    log = split.training
    rows = np.flatnonzero(~held)
    place = np.full(len(held), -1)
    place[rows] = np.arange(len(rows))
    first, second = (place[side] for side in co_consumption.pairs(log))
    both = (first >= 0) & (second >= 0)
    learned = features.gather(torch.from_numpy(rows))
    material = Material(learned, torch.from_numpy(first[both]), torch.from_numpy(second[both]))
    model = two_tower.build(settings.model, learned, settings.event_names, 0)
    figures, _ = pretraining.fit(
        model.item_tower, settings.model.width, material, settings.pretrain, settings.train,
        lambda *_: None,
    )  # fmt: skip
    for one in figures:
        print(f"{one.name}: right {one.before:.3f} before, {one.after:.3f} after, chance "
              f"{one.chance:.3f}, {one.answers} answers")  # fmt: skip
    return model.eval()


def retrieval(
    name: str, model: TwoTower, features: ItemFeatures, held: np.ndarray, ways: tuple[str, str]
) -> None:
    """Ranks of each held-out movie's other side among those of all held-out movies."""
    columns = [features.names.index(way) for way in ways]
    both = held & features.present[:, columns].all(dim=1).numpy()
    asked, sides = (vectors.of_items(model, features.only((way,)))[both] for way in ways)
    scores = asked @ sides.T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    count = len(ranks)
    label = {"image": "poster", "text": "plot"}
    print(f"| {count} | {label[ways[0]]} to {label[ways[1]]} | {name} | {np.median(ranks):.0f} of "
          f"{count} (chance {(count + 1) / 2:.0f}) | {(ranks <= 10).mean():.3f} | "
          f"{10 / count:.3f} |", flush=True)  # fmt: skip


def genres(features: ItemFeatures, model: TwoTower, found: inputs.Inputs, held: np.ndarray) -> None:
    """Macro F1 of genres, linear and nearest neighbours, by what they are told from."""
    values = found.items["category"].fill_null([]).to_list()
    names = tuple(sorted({one for several in values for one in several}))
    labels = probes.indicators(values, names)
    told = [name for name in features.names if name != "attributes"]
    made = {
        name: (features.values[name].numpy(), features.present[:, number].numpy())
        for number, name in enumerate(features.names)
        if name in told
    }
    side = np.concatenate([np.where(has[:, None], value, 0) for value, has in made.values()], 1)
    some = np.any([has for _, has in made.values()], axis=0)
    shown = features.only(told)
    fused = vectors.of_items(model, shown)
    whole = np.all([has for _, has in made.values()], axis=0)
    made |= {"side by side": (side, some), "pretrained": (fused, some)}
    print(f"\n| genres ({len(names)}) from | head | macro F1 | exactly right | ECE | movies |")
    print("| --- | --- | --- | --- | --- | --- |")
    head_rows(annotate.heads_of(made, labels, held))
    alike = {name: (value, has & whole) for name, (value, has) in made.items()}
    print("\nthe same movies for all, those with every modality:")
    head_rows(annotate.heads_of(alike, labels, held))


def head_rows(rows: list[dict[str, Any]]) -> None:
    """A line for each head."""
    for row in rows:
        figures = " | ".join(f"{row[name]:.3f}" for name in ("macro_f1", "accuracy", "ece"))
        print(f"| {row['vectors']} | {row['head']} | {figures} | {row['items']} |", flush=True)


def queries(
    settings: Settings, found: inputs.Inputs, features: ItemFeatures, model: TwoTower
) -> None:
    """Ten texts and the three movies nearest to each, by the pretrained vectors."""
    encoder = sources.encoder(settings, "text")
    assert encoder is not None
    values = {name: torch.zeros(len(QUERIES), width) for name, width in features.widths.items()}
    values["text"] = torch.from_numpy(encoder.encode(list(QUERIES)))
    present = torch.zeros(len(QUERIES), len(features.names) + 1, dtype=torch.bool)
    present[:, features.names.index("text")] = True
    asked = vectors.of_items(model, ItemFeatures(features.names, values, present))
    items = vectors.of_items(model, features)
    best = np.argsort(-asked @ items.T, axis=1, kind="stable")[:, :3]
    print("\n| query | nearest |")
    print("| --- | --- |")
    for query, rows in zip(QUERIES, best, strict=True):
        print(f"| {query} | {'; '.join(found.items['title'][int(row)] for row in rows)} |")


if __name__ == "__main__":
    main()

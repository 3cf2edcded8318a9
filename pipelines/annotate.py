"""`recsys annotate`: what the vectors tell of items: labels, clusters, near duplicates, trends."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import space as spaces
from pipelines.runs import Run
from pipelines.settings import Settings
from pipelines.space import Source, Space
from recsys import artefacts, durable
from recsys.errors import InputFault, UsageFault
from recsys.evaluation import probes
from recsys.evaluation.probes import Head
from recsys.serving import clusters, index, vectors
from recsys.settings import fingerprint

KIND, ROOT = "annotations", "annotations"
HEADS: tuple[Head, ...] = ("linear", "neighbours")
Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]


def run(settings: Settings, run: Run, source: Source = "live") -> dict[str, Any]:
    """Judges heads on held-out items, labels what has no label, clusters; publishes tables.

    The item space is that of content, and of content without the catalogue's columns where it is
    judged: a category cannot be told by itself.

    Args:
        settings: all of them.
        run: of this command.
        source: whose item space.

    Raises:
        UsageFault: a column that the catalogue lacks.
        InputFault: no model or catalogue yet.
    """
    space = spaces.open_space(settings, "content", source=source)
    heads, labels = [], []
    with run.timed("heads"):
        for column in settings.annotate.columns:
            judged, told = _column(space, column)
            heads += judged
            labels.append(told)
    with run.timed("clusters"):
        items, table = _clustered(space)
    twins = _duplicates(space)
    frames = {"labels": pl.concat(labels), "items": items, "clusters": table, "duplicates": twins}
    name = f"annotations-{fingerprint(settings.annotate)[:8]}-{space.content[:8]}"
    with artefacts.publishing(settings.root / ROOT, name, KIND) as staged:
        for title, frame in frames.items():
            frame.write_parquet(staged.folder / f"{title}.parquet")
            staged.rows[f"{title}.parquet"] = frame.height
        durable.write_json(staged.folder / "heads.json", heads)
    lines = [*_head_lines(heads), "", *_cluster_lines(table), ""]
    lines += [
        *_twin_lines(twins, space.found.titles()),
        f"annotations: {settings.root / ROOT / name}",
    ]
    return {
        "text": "\n".join(lines),
        "annotations": str(settings.root / ROOT / name),
        "heads": heads,
        "clusters": table.to_dicts(),
        "duplicates": twins.to_dicts(),
    }  # fmt: skip


def heads_of(
    inputs_of: dict[str, tuple[Vectors, Mask]], labels: Mask, held: Mask
) -> list[dict[str, Any]]:
    """Every head on every kind of vectors: one row of figures each.

    Args:
        inputs_of: by name vectors `[N, D]` and which items have them `[N]`.
        labels: `[N, C]`; items without a label are left out.
        held: `[N]` items to judge on; the others are learned from.
    """
    rows = []
    labelled = labels.any(axis=1)
    for name, (values, present) in inputs_of.items():
        learn, ask = labelled & present & ~held, labelled & present & held
        if learn.sum() < 2 or not ask.any():
            continue
        for head in HEADS:
            told = probes.probabilities(head, values[learn], labels[learn], values[ask])
            rows.append({"vectors": name, "head": head} | asdict(probes.judge(told, labels[ask])))
    return rows


def label_values(space: Space, column: str) -> list[list[str]]:
    """Each item's labels of a column.

    Raises:
        UsageFault: the catalogue has no such column.
    """
    items = space.found.items
    if column not in items.columns:
        raise UsageFault(
            "the catalogue has no such column", value=column, where="annotate.columns",
            fix=f"one of {', '.join(items.columns)}",
        )  # fmt: skip
    values = items[column].to_list()
    return [
        [str(one) for one in (value if isinstance(value, list) else [value]) if one or one == 0]
        for value in values
    ]


def _column(space: Space, column: str) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Figures of every head for a column, and labels for the items that have none."""
    chosen = space.settings.annotate
    values = label_values(space, column)
    flat = pl.Series([one for several in values for one in several], dtype=pl.String)
    counts = flat.value_counts().sort("count", flat.name, descending=[True, False])
    names = tuple(counts.filter(pl.col("count") >= chosen.least_items)[flat.name])
    if len(names) < 2:
        raise InputFault(
            "fewer than two labels are frequent enough", value=column, where="annotate.columns",
            fix=f"name another column, or lower annotate.least_items ({chosen.least_items})",
        )  # fmt: skip
    labels = probes.indicators(values, names)
    held = np.random.default_rng(chosen.seed).random(len(values)) < chosen.held_out
    rows = [{"column": column} | row for row in heads_of(_inputs(space), labels, held)]
    fused = _inputs(space)["fused"][0]
    lacking = np.array([not several for several in values])
    known = labels.any(axis=1)
    frame = pl.DataFrame(
        schema={"item_id": pl.String, "column": pl.String, "label": pl.String,
                "confidence": pl.Float64},
    )  # fmt: skip
    if lacking.any():
        told = probes.probabilities("linear", fused[known], labels[known], fused[lacking])
        best = told.argmax(axis=1)
        ids = np.array(space.found.vocabulary.ids)[lacking]
        frame = pl.DataFrame(
            {"item_id": ids, "column": [column] * len(ids), "label": [names[b] for b in best],
             "confidence": told[np.arange(len(ids)), best]},
        )  # fmt: skip
    return rows, frame


def _inputs(space: Space) -> dict[str, tuple[Vectors, Mask]]:
    """Vectors of each modality but the attributes, and of the item tower without them."""
    features = space.features
    made = {
        name: (features.mean(name).numpy(), features.present[:, number].numpy())
        for number, name in enumerate(features.names)
        if name != "attributes"
    }
    shown = features.only(made)
    fused = vectors.of_items(space.towers, shown)
    return made | {"fused": (fused, shown.present.any(dim=1).numpy())}


def _clustered(space: Space) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cluster of each item, and a row for each cluster."""
    chosen, found = space.settings.annotate, space.found
    rows = space.items.index.rows
    count = min(chosen.clusters or max(2, int((len(rows) / 2) ** 0.5)), len(rows))
    owners, _ = index.clustered(space.items.vectors[rows], count, chosen.seed)
    texts = found.items["text"][rows].fill_null("").to_list()
    names = clusters.names(texts, owners, count)
    log = found.events
    place = np.full(len(found.vocabulary), -1)
    place[rows] = np.arange(len(rows))
    taken = place[log.items] >= 0
    table = clusters.trends(
        owners, place[log.items][taken], log.times[taken], found.newest_seconds() + 1
    )
    table = table.insert_column(1, pl.Series("name", names)).sort("events", descending=True)
    ids = np.array(found.vocabulary.ids)[rows]
    return pl.DataFrame({"item_id": ids, "cluster": owners}), table


def _duplicates(space: Space) -> pl.DataFrame:
    """Pairs of items that are nearly one, nearest first: ids and cosine."""
    twins = clusters.duplicates(space.items, space.settings.annotate.duplicates)
    ids = space.found.items["item_id"]
    columns = {"item_id": ids[twins["row"]], "similar_item_id": ids[twins["other"]]}
    return pl.DataFrame(columns | {"score": twins["score"]})


def _head_lines(heads: list[dict[str, Any]]) -> list[str]:
    head = (
        f"{'column':12} {'vectors':14} {'head':10} {'accuracy':>8} {'macro F1':>8} {'majority':>8}"
    )
    lines = [
        f"{row['column']:12} {row['vectors']:14} {row['head']:10} {row['accuracy']:8.3f} "
        f"{row['macro_f1']:8.3f} {row['majority']:8.3f} {row['ece']:6.3f} {row['items']:6,}"
        for row in heads
    ]
    return [f"{head} {'ECE':>6} {'items':>6}", *lines]


def _cluster_lines(table: pl.DataFrame, most: int = 10) -> list[str]:
    head = f"{'items':>6} {'events':>8} {'7 days':>7} {'growth':>7} {'tail':>5}  cluster"
    lines = [
        f"{row['items']:6,} {row['events']:8,} {row['recent']:7,} "
        f"{'' if row['growth'] is None else format(row['growth'], '+.0%'):>7} "
        f"{'' if row['tail'] is None else format(row['tail'], '.0%'):>5}  {row['name']}"
        for row in table.head(most).iter_rows(named=True)
    ]
    return [head, *lines, *([f"and {len(table) - most} more"] if len(table) > most else [])]


def _twin_lines(twins: pl.DataFrame, titles: dict[str, str], most: int = 5) -> list[str]:
    lines = [
        f"  {score:.3f}  {one} {titles[one]}  =  {other} {titles[other]}"
        for one, other, score in twins.head(most).iter_rows()
    ]
    return [f"{len(twins):,} pairs of near duplicates", *lines]

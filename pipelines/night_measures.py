"""A night in numbers: what its gates judge, and what the next night is compared with.

Each number is taken where it arises: the accounts of ingest, the log, the features, the model's
course, its evaluation, the item vectors, and the staged files as they lie on disk.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines import input_gates
from pipelines.night import Night
from pipelines.settings import Settings
from recsys.data import histories
from recsys.data.histories import Histories
from recsys.evaluation import health
from recsys.serving import list_measures, recommend, release, stored_lists
from recsys.serving.baseline import Baseline
from recsys.serving.list_measures import Seen
from recsys.serving.stored_lists import StoredLists

CANARIES = 100
USERS = 10_000  # whose events are looked at together
SETTLED_ITEMS = 3
SEGMENT_USERS = 1_000
SLOW_SECONDS = 60.0
POPULAR, PUBLISHED = "popular", ("caught_up", "lists")


def of_night(
    settings: Settings, night: Night, lists: StoredLists, before: Baseline, list_seconds: float
) -> dict[str, float]:
    """All numbers of a night by name; what cannot be measured is absent.

    Args:
        settings: all of them.
        night: before its lists.
        lists: of the staged release.
        before: the last good releases.
        list_seconds: what the lists took.
    """
    measures = input_gates.measured(settings, night.found, night.past, night.plan.at_seconds)
    measures |= _of_catalogue(night) | _of_vectors(night)
    measures |= of_training(night.plan.model.course)
    measures |= of_evaluation(night.plan.evaluation, before.last)
    measures |= _of_lists(settings, night, lists, before, measures["events"])
    if list_seconds >= SLOW_SECONDS:
        measures["list_seconds"] = list_seconds
    return dict(sorted(measures.items()))


def of_training(course: Mapping[str, Any]) -> dict[str, float]:
    """Loss and validation recall of the epoch that was kept, from a model's training.json."""
    epochs, best = course.get("epochs", []), course.get("best_epoch", 0)
    if not 0 <= best < len(epochs):
        return {}
    names = {"training_loss": "loss", "validation_recall": "validation"}
    found = {name: epochs[best].get(key) for name, key in names.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def of_evaluation(evaluation: Mapping[str, Any], last: Mapping[str, float]) -> dict[str, float]:
    """Recall of the published lists, its optimistic end over the last release's, and the gain.

    A drop counts only as far as the upper end of the 95 % interval shows it: a smaller one may be
    chance. Segments of a thousand users and more are judged too.

    Args:
        evaluation: an evaluation's table.json; empty for none.
        last: numbers of the last good release.
    """
    rows = {(row["system"], row["metric"]): row for row in evaluation.get("rows", ())}
    measures: dict[str, float] = {}
    for k in evaluation.get("facts", {}).get("ks", ())[:1]:
        metric = f"recall_at_{k}"
        system = next((name for name in PUBLISHED if (name, metric) in rows), "")
        measures |= _recall(rows, system, metric, last)
        popular = rows.get((POPULAR, metric), {})
        ends = {"gain_over_popular": "difference", "gain_over_popular_high": "difference_low"}
        for name, key in ends.items():
            if popular.get(key) is not None:
                measures[f"{name}/at_{k}"] = -popular[key]
    return measures


def _recall(
    rows: Mapping[tuple[str, str], Mapping[str, Any]], system: str, metric: str,
    last: Mapping[str, float],
) -> dict[str, float]:  # fmt: skip
    """Recall of one system, overall and by segment."""
    measures = {}
    for (name, column), row in rows.items():
        whole, _, segment = column.partition("/")
        if name != system or whole != metric or row["mean"] is None:
            continue
        if segment and row["users"] < SEGMENT_USERS:
            continue
        kind = "segment_recall" if segment else "recall"
        part = segment or metric.removeprefix("recall_")
        measures[f"{kind}/{part}"] = row["mean"]
        base = last.get(f"{kind}/{part}")
        if base and row["high"] is not None:
            measures[f"{kind}_high_over_last/{part}"] = row["high"] / base
    return measures


def _of_catalogue(night: Night) -> dict[str, float]:
    features = night.features
    present = features.present[:, : len(features.names)].numpy()
    missing = 1 - present.mean(axis=0) if len(present) else np.zeros(len(features.names))
    return {
        f"missing/{name}": float(share) for name, share in zip(features.names, missing, strict=True)
    }


def _of_vectors(night: Night) -> dict[str, float]:
    """Whether the vectors of the listable items are sound and spread."""
    vectors = night.recommender.item_vectors[night.recommender.index.rows]
    finite = np.isfinite(vectors).all(axis=1)
    measures = {
        "broken_vector_share": float(1 - finite.mean()) if len(vectors) else 0.0,
        "zero_vector_share": float((~vectors.any(axis=1)).mean()) if len(vectors) else 0.0,
    }
    if finite.sum() < 2:
        return measures
    spread = health.of_vectors(vectors[finite], np.random.default_rng(0))
    return measures | {"mean_cosine": spread.mean_cosine, "directions": spread.directions}


def _of_lists(
    settings: Settings, night: Night, lists: StoredLists, before: Baseline, events: float
) -> dict[str, float]:
    ids = night.found.vocabulary.ids
    eligible = pl.Series([ids[row] for row in night.recommender.index.rows], dtype=pl.String)
    fewest = settings.gates.fewest
    seen = None if settings.lists.candidates.repeats else _seen(night)
    settled = _settled(night.past)
    measures = list_measures.broken_rules(lists, night.people, eligible, seen, settings.nightly.k)
    measures |= list_measures.health(lists, settled, len(eligible), fewest)
    measures |= _canaries(settings, night, lists)
    age = before.days_before(night.plan.day)
    if before.folder is not None and age is not None and age <= settings.gates.overlap_days:
        changed = events != before.last.get("events")
        last = stored_lists.opened(before.folder)
        measures |= list_measures.against(lists, last, changed, fewest)
    return measures


def _seen(night: Night) -> Seen:
    """The distinct user_id and item_id of some users' events before the night."""
    known = pl.Series(night.past.user_ids, dtype=pl.String)
    items = pl.Series(night.found.vocabulary.ids, dtype=pl.String)

    def of(users: pl.Series) -> pl.DataFrame:
        past = histories.of(night.past, histories.places(users, known))
        had = recommend.seen_items(past)
        return pl.DataFrame({"user_id": users[had.users()], "item_id": items[had.rows]})

    return of


def _settled(past: Histories) -> pl.Series:
    """Users who have had several items."""
    users, some = pl.Series(past.user_ids, dtype=pl.String), [np.zeros(0, np.bool_)]
    for start in range(0, len(past), USERS):
        had = recommend.seen_items(histories.block(past, start, start + USERS))
        some.append(had.sizes() >= SETTLED_ITEMS)
    return users.filter(np.concatenate(some))


def _canaries(settings: Settings, night: Night, lists: StoredLists) -> dict[str, float]:
    """Lists of a few users made again by themselves, beside what lies on disk: mean Jaccard."""
    users = lists.of_model.sort()
    if users.is_empty():
        return {}
    chosen = users.gather_every(max(1, len(users) // CANARIES)).head(CANARIES)
    past = histories.select(night.past, chosen.to_list())
    ranked = night.recommender.lists(past, settings.nightly.k)
    names, ids = night.recommender.names, night.found.vocabulary.ids
    again = release.list_frame(past.user_ids, ranked, names, ids)
    stored = lists.at(lists.places(chosen), ["user_id", "item_id"])
    return {"canary_overlap": list_measures.overlap(again, stored, chosen)}

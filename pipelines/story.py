"""What the night's report tells: gathered here from artefacts, drawn by `recsys.serving.report`."""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines import why
from pipelines.night import Night
from pipelines.settings import Settings
from pipelines.why import Why
from recsys import artefacts
from recsys.data import buckets, histories, media_paths
from recsys.data.histories import Histories
from recsys.serving import release
from recsys.serving.stored_lists import StoredLists

EXAMPLES, PLACES, HISTORY = 6, 10, 8


def of_night(settings: Settings, night: Night, lists: StoredLists) -> dict[str, Any]:
    """The report's page but for the release's own counts and gates; holds no time of day."""
    found, model = night.found, night.model
    log = artefacts.read(found.interactions, buckets.KIND, check=False)
    shop = artefacts.read(found.catalogue, "catalogue", check=False)
    quarantine = buckets.read_quarantine(found.interactions)
    codes = quarantine.group_by("code").len().sort("len", "code", descending=[True, False])
    return {
        "accounting": log["accounting"],
        "quarantine": dict(codes.iter_rows()),
        "catalogue": shop["counts"],
        "evaluation": night.plan.evaluation,
        "course": model.course,
        "weights": dict(zip(model.reranker.names, model.reranker.weights, strict=True)),
        "examples": _examples(settings, night, lists),
        "show_ids": settings.nightly.show_ids,
    }


def _examples(settings: Settings, night: Night, lists: StoredLists) -> list[dict[str, Any]]:
    """Lists of users spread evenly over all users with a model list, in the order of their ids."""
    users = (lists.users if lists.of_model.is_empty() else lists.of_model).sort()
    chosen = users.gather_every(max(1, len(users) // EXAMPLES)).head(EXAMPLES)
    shown = lists.at(lists.places(chosen))
    return [_example(settings, night, shown, user) for user in chosen]


def _example(settings: Settings, night: Night, lists: pl.DataFrame, user: str) -> dict[str, Any]:
    rows = lists.filter(pl.col("user_id") == user).sort("rank").head(PLACES)
    terms = release.term_names(rows)
    items = night.found.items.select("item_id", "title", "category", "image")
    past = histories.active(histories.select(night.past, [user]))
    had = items[past.items]
    named = {name: title or "" for name, title in had.select("item_id", "title").iter_rows()}
    known = rows.join(items, on="item_id", how="left", maintain_order="left")
    picks = [
        {
            "item_id": row["item_id"],
            "title": row["title"] or row["item_id"],
            "category": ", ".join(row["category"] or []),
            "score": row["score"],
            "terms": {name: row[release.TERM + name] for name in terms},
            "picture": _picture(settings, row["image"]),
            "drawn_by": tuple(
                named[pull["item_id"]] or pull["item_id"] for pull in reason["drawn_by"]
            ),
            "weights": reason["weights"] or {},
        }
        for row, reason in zip(
            known.iter_rows(named=True), _reasons(night, past, rows), strict=True
        )
    ]
    return {
        "user_id": user,
        "source": rows["source"][0],
        "history": tuple(title or "" for title in had["title"].tail(HISTORY)),
        "picks": picks,
    }


def _reasons(night: Night, past: Histories, rows: pl.DataFrame) -> list[Why]:
    """Why each row of a user's list stands there."""
    items = rows["item_id"].to_list()
    if rows["source"][0] == release.MODEL and len(past):
        return why.of_list(night, past, items)
    return [Why(drawn_by=[], parts={}, weights=None) for _ in items]


def _picture(settings: Settings, paths: list[str] | None) -> bytes:
    """The item's first picture as it stands on disk; empty where there is none to be had."""
    if not paths:
        return b""
    path = media_paths.resolve(Path(settings.data.folder), paths[0])
    return path.read_bytes() if isinstance(path, Path) and path.is_file() else b""

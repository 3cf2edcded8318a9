"""`recsys why-not USER ITEM`: what kept an item out of a user's live list."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import inputs, look, night
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts
from recsys.data import erasure, histories
from recsys.data.histories import Histories
from recsys.errors import InputFault
from recsys.serving import release
from recsys.serving.recommend import Recommender

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answer:
    """Why not.

    Attributes:
        reason: a code: listed, unknown_item, erased, unavailable, not_yet, blocked, seen,
            no_history, not_a_candidate, ranked_lower or variety.
        text: a sentence or more.
        facts: its numbers.
    """

    reason: str
    text: str
    facts: dict[str, Any]


def run(settings: Settings, user: str, item: str) -> dict[str, Any]:
    """Answers from the live release and, where no rule kept the item out, by scoring it.

    Scoring makes the night's vectors once more, for one user; it takes as long as a catch-up.

    Raises:
        InputFault: the live release has no list for that user, or an artefact is damaged.
    """
    folder, manifest = artefacts.current(settings.root / "releases", release.KIND)
    lists = release.read_lists(folder)
    mine = lists.filter(pl.col("user_id") == user).sort("rank")
    if mine.is_empty():
        raise InputFault(
            "the live release has no list for this user", value=user, where=str(folder),
            fix="`recsys show-user` names near ids",
        )  # fmt: skip
    found = inputs.load(settings)
    at_seconds = inputs.moment(manifest["date"], found.newest_seconds())[1]
    answer = (
        _listed(mine, item)
        or _by_catalogue(settings, found, item, at_seconds)
        or _by_history(settings, found, mine, item, at_seconds)
        or _by_score(settings, found, manifest, user, item)
    )
    changed = look.changed_since(manifest, found)
    note = f"\n(the {' and the '.join(changed)} changed since that release)" if changed else ""
    return {
        "text": f"{item} for {user} in {folder.name}: {answer.text}{note}",
        "user": user,
        "item": item,
        "release": folder.name,
        "reason": answer.reason,
        "changed": changed,
        **answer.facts,
    }


def _listed(mine: pl.DataFrame, item: str) -> Answer | None:
    place = mine.filter(pl.col("item_id") == item)
    if place.is_empty():
        return None
    rank, score = place["rank"][0], place["score"][0]
    return Answer("listed", f"it is there, at rank {rank}", {"rank": rank, "score": score})


def _by_catalogue(settings: Settings, found: Inputs, item: str, at_seconds: int) -> Answer | None:
    """What is decided for everybody before any score."""
    rows = found.items.filter(pl.col("item_id") == item)
    if rows.is_empty():
        if erasure.read(settings.root).holds("item", item):
            return Answer("erased", "it was erased; ingest leaves it out", {})
        return Answer("unknown_item", "the catalogue does not know it", {})
    facts = rows.row(0, named=True)
    created = facts["created_at"]
    if not facts["available"]:
        return Answer("unavailable", "the catalogue says that it is not available", {})
    if created is not None and created.timestamp() > at_seconds:
        told = f"it appeared on {created:%Y-%m-%d}, after the moment of these lists"
        return Answer("not_yet", told, {"created_at": created.isoformat()})
    if item in settings.nightly.blocked:
        return Answer("blocked", "nightly.blocked names it", {})
    return None


def _by_history(
    settings: Settings, found: Inputs, mine: pl.DataFrame, item: str, at_seconds: int
) -> Answer | None:
    """What the user's own past decides: items they had, or no past at all."""
    user, source = mine["user_id"][0], mine["source"][0]
    past = found.log_before(at_seconds).filter(pl.col("user_id") == user)
    had = past.filter(pl.col("item_id") == item)
    if not had.is_empty() and not settings.lists.candidates.repeats:
        last = had.row(-1, named=True)
        text = (
            f"the user had it already: {last['event']} on {last['timestamp']:%Y-%m-%d}; "
            "lists.candidates.repeats=true would allow it again"
        )
        return Answer("seen", text, {"event": last["event"], "times": had.height})
    if source != release.MODEL or past.is_empty():
        text = f"nothing is known of the user, whose list is the {source} one; it is not among the "
        return Answer("no_history", f"{text}first {mine.height}", {"source": source})
    return None


def _by_score(
    settings: Settings, found: Inputs, manifest: dict[str, Any], user: str, item: str
) -> Answer:
    """Where the item stands among all that may be listed, and what it lacks."""
    made = night.again(settings, Run("why-not"), found, manifest["date"])
    recommender, row = made.recommender, found.vocabulary.rows([item])[0]
    mine = histories.select(made.past, [user])
    every = recommender.candidates(mine, len(recommender.index))
    place = _place(every.rows[0], row)
    count = settings.lists.candidates.count
    facts: dict[str, Any] = {"candidate": place, "candidates": count, "k": settings.nightly.k}
    if row not in recommender.candidates(mine).rows[0]:
        where = "behind all others" if place is None else f"at place {place:,}"
        text = (
            f"{where} of {len(recommender.index):,} before the reranker; only the first "
            f"{count:,} reach it (lists.candidates.count)"
        )
        return Answer("not_a_candidate", text, facts)
    rank, lacking = _compared(recommender, mine, row, settings.nightly.k, count)
    facts |= {"reranked": rank, "lacking": lacking}
    if rank is not None and rank <= settings.nightly.k:
        text = f"its score would be at rank {rank}; rules of variety (lists.diversity) moved it"
        return Answer("variety", text, facts)
    least = ", ".join(f"{name} {value:+.3f}" for name, value in lacking.items())
    text = f"its score is at rank {rank or '?'} of {count:,}, the list ends at {settings.nightly.k}"
    return Answer("ranked_lower", f"{text}; against the last place of it: {least}", facts)


def _compared(
    recommender: Recommender, mine: Histories, row: int, k: int, count: int
) -> tuple[int | None, dict[str, float]]:
    """The item's rank by score alone, and how its terms differ from those of the k-th place."""
    ranked = recommender.lists(mine, count)
    scores = ranked.scores[0]
    order = np.argsort(-np.where(ranked.rows[0] >= 0, scores, -np.inf), kind="stable")
    rank = _place(ranked.rows[0][order], row)
    if rank is None:
        return None, {}
    last = min(k, int((ranked.rows[0] >= 0).sum())) - 1
    terms = ranked.terms[0][order]
    lacking = terms[rank - 1] - terms[last]
    pairs = zip(recommender.names, lacking.tolist(), strict=True)
    return rank, {name: round(value, 6) for name, value in pairs if value}


def _place(rows: Rows, row: int) -> int | None:
    found = np.flatnonzero(rows == row)
    return int(found[0]) + 1 if len(found) else None

"""What a log and a catalogue are like, and what that would do to training: for `recsys check`."""

from typing import Any, Literal, SupportsFloat, TypedDict

import numpy as np
import numpy.typing as npt
import polars as pl

CONTENT = ("text", "image", "video", "audio")
QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p99": 0.99, "max": 1.0}
SAME_USER_ITEM = ("user_id", "item_id")
SAME_USER_TIME = ("user_id", "timestamp")


class Finding(TypedDict):
    """One thing that was looked at.

    `name`; `verdict`, ok or warn; `value`, numbers or a text fit for JSON; `means`, a sentence on
    what it is and would do to training.
    """

    name: str
    verdict: Literal["ok", "warn"]
    value: Any
    means: str


def audit(interactions: pl.DataFrame, items: pl.DataFrame) -> dict[str, Any]:
    """Looks a cleaned log and a catalogue over.

    Args:
        interactions: user_id, item_id, timestamp of each event.
        items: as `catalogue.Catalogue.items`.

    Returns:
        `events`, `users`, `items`, `oldest`, `newest` (ISO 8601 or None), and `findings`, each a
        `Finding`; fit for JSON, without any user's id.
    """
    per_user = interactions.group_by("user_id").len()["len"]
    seen = interactions.group_by("item_id").len()
    per_item = items.select("item_id").join(seen, on="item_id", how="left")["len"].fill_null(0)
    times = interactions["timestamp"].sort()
    ends = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ").gather([0, -1]) if len(times) else [None] * 2
    findings = [
        _amount(interactions.height, per_user),
        _per_user(per_user),
        _per_item(per_item),
        _concentration(per_item.to_numpy()),
        _one_user(per_user, interactions.height),
        _time_ties(interactions),
        _repeats(interactions),
        _before_creation(interactions, items),
        *(_presence(interactions, items, name) for name in CONTENT),
        _copies(items, "text"),
        _copies(items, "image"),
    ]
    return {
        "events": interactions.height,
        "users": per_user.len(),
        "items": items.height,
        "oldest": ends[0],
        "newest": ends[1],
        "findings": findings,
    }


def gini(amounts: npt.NDArray[np.number]) -> float:
    """How unequal amounts are: 0 all equal, towards 1 one has everything (Gini, 1912)."""
    values = np.sort(np.asarray(amounts, dtype=np.float64))
    total, size = float(values.sum()), len(values)
    if total <= 0:
        return 0.0
    ranks = np.arange(1, size + 1)
    return float((2 * ranks - size - 1) @ values / (size * total))


def _finding(name: str, value: Any, warn: bool, means: str) -> Finding:
    return {"name": name, "verdict": "warn" if warn else "ok", "value": value, "means": means}


def _share(part: SupportsFloat, whole: float) -> float:
    return round(float(part) / whole, 6) if whole else 0.0


def _quantiles(counts: pl.Series) -> dict[str, int]:
    if counts.is_empty():
        return {}
    return {name: int(counts.quantile(level, "nearest") or 0) for name, level in QUANTILES.items()}


def _amount(events: int, per_user: pl.Series) -> Finding:
    learners = int((per_user >= 2).sum())
    return _finding(
        "amount",
        {"events": events, "users_with_two_events": learners},
        events < 50_000 or learners < 1_000,
        "below 50,000 events or 1,000 users with two, two towers learn little that popularity and "
        "item-kNN do not know",
    )


def _per_user(per_user: pl.Series) -> Finding:
    single = _share((per_user < 2).sum(), per_user.len())
    return _finding(
        "events_per_user",
        {**_quantiles(per_user), "share_below_two": single},
        single > 0.3,
        f"{single:.1%} of the users have fewer than two events: they give the training no target",
    )


def _per_item(per_item: pl.Series) -> Finding:
    never = _share((per_item == 0).sum(), per_item.len())
    return _finding(
        "events_per_item",
        {**_quantiles(per_item), "share_never_seen": never},
        never > 0.2,
        f"{never:.1%} of the items were never seen: only their content can place them, so keep "
        "modality dropout on",
    )


def _concentration(per_item: npt.NDArray[np.number]) -> Finding:
    head = max(1, round(len(per_item) / 100))
    top = _share(float(np.sort(per_item)[::-1][:head].sum()), float(per_item.sum()))
    return _finding(
        "popularity",
        {"gini": round(gini(per_item), 6), "share_of_top_percent": top},
        top > 0.3,
        f"the most popular 1 % of the items have {top:.1%} of the events: as in-batch negatives "
        "they are pushed down without the logQ correction, and fill the lists without a cap",
    )


def _one_user(per_user: pl.Series, events: int) -> Finding:
    largest = 0 if per_user.is_empty() else int(per_user.to_numpy().max())
    share = _share(largest, events)
    return _finding(
        "largest_user",
        share,
        share > 0.01,
        f"one user made {share:.2%} of all events: a robot or an attack would bend the training; "
        "cap the events per user",
    )


def _time_ties(interactions: pl.DataFrame) -> Finding:
    share = _share(
        interactions.select(pl.struct(SAME_USER_TIME).is_duplicated().sum()).item(),
        interactions.height,
    )
    return _finding(
        "equal_times",
        share,
        share > 0.05,
        f"{share:.1%} of the events share their moment with another of the same user: their order "
        "is that of the file, and targets of a leave-one-out split depend on it",
    )


def _repeats(interactions: pl.DataFrame) -> Finding:
    first = interactions.select(pl.struct(SAME_USER_ITEM).n_unique()).item()
    share = _share(interactions.height - first, interactions.height)
    return _finding(
        "repeats",
        share,
        share > 0.1,
        f"{share:.1%} of the events repeat an item the user already had: lists without seen items "
        "can never hit these; lists.candidates.repeats=true lists them again",
    )


def _before_creation(interactions: pl.DataFrame, items: pl.DataFrame) -> Finding:
    dated = interactions.join(items.select("item_id", "created_at"), on="item_id", how="inner")
    early = int((dated["timestamp"] < dated["created_at"]).fill_null(False).sum())
    share = _share(early, interactions.height)
    return _finding(
        "before_creation",
        share,
        share > 0.01,
        f"{share:.2%} of the events are older than their item's created_at: freshness would be "
        "learned from wrong dates",
    )


def _presence(interactions: pl.DataFrame, items: pl.DataFrame, name: str) -> Finding:
    column = pl.col(name)
    has = (
        column.list.len() > 0 if items.schema[name] == pl.List(pl.String) else column.is_not_null()
    )
    marked = items.select("item_id", has=has)
    of_items = _share(marked["has"].sum(), marked.height)
    events = interactions.select("item_id").join(marked, on="item_id", how="left")["has"]
    of_events = _share(events.fill_null(False).sum(), events.len())
    return _finding(
        f"with_{name}",
        {"of_items": of_items, "of_events": of_events},
        0 < of_events < 0.5,
        f"{of_items:.1%} of the items, with {of_events:.1%} of the events, have {name}: where it "
        "is rare, the towers see too little of it to learn from",
    )


def _copies(items: pl.DataFrame, name: str) -> Finding:
    """T06: template texts and placeholder pictures."""
    column = items[f"{name}_hash"]
    if isinstance(column.dtype, pl.List):
        column = column.list.first()
    known = column.drop_nulls()
    most = 0 if known.is_empty() else int(known.value_counts()["count"].to_numpy().max())
    share = _share(most, items.height) if most > 1 else 0.0
    return _finding(
        f"same_{name}",
        share,
        share > 0.05,
        f"{share:.1%} of the items have one and the same {name} (a template or placeholder?): "
        "their vectors collapse into one point",
    )

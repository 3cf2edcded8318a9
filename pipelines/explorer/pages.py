"""What each page of the explorer tells: plain values for the templates."""

from typing import Any

import polars as pl

from pipelines import differences
from pipelines.explorer import grouped
from pipelines.explorer.live import Blend, Live
from pipelines.explorer.shelf import Card, Shelf, lists_of
from pipelines.search import Query
from recsys.errors import near
from recsys.serving import release

HISTORY, FOUND, AUDIENCE, FACES = 60, 48, 24, 4


def home(shelf: Shelf) -> dict[str, Any]:
    """A few users to begin with: with many events, few, and none."""
    sizes = shelf.past.frame.group_by("user_id").len().sort("len", "user_id")
    sizes = sizes.filter(pl.col("user_id").is_in(shelf.lists.keys.implode()))
    some = {}
    if len(sizes):
        places = {"much history": 0.98, "some history": 0.5, "little history": 0.05}
        for name, place in places.items():
            start = int(place * (len(sizes) - 1))
            some[name] = sizes["user_id"].slice(start, 4).to_list()
    none = shelf.lists.frame.filter(pl.col("source") == release.POPULAR)["user_id"]
    some["no history"] = none.unique().sort().head(4).to_list()
    verdicts = [gate["verdict"] for gate in shelf.manifest["gates"]]
    judged = [verdict for verdict in verdicts if verdict in ("pass", "warn", "fail")]
    return {
        "gates": f"{judged.count('pass')} of {len(judged)} passed",
        "some": {
            name: [(user, _faces(shelf, user)) for user in users]
            for name, users in some.items() if users
        },
    }  # fmt: skip


def find(shelf: Shelf, text: str) -> dict[str, Any]:
    """Users and items whose id or title hold a text; near ids where nothing does."""
    users = grouped.containing(shelf.lists.keys, text, FOUND)
    items = shelf.found.items
    by_id = grouped.containing(items["item_id"], text, FOUND)
    title = pl.col("title").str.to_lowercase().str.contains(text.lower(), literal=True)
    by_title = items.filter(title)["item_id"].head(FOUND).to_list()
    ids = list(dict.fromkeys([*by_id, *by_title]))[:FOUND]
    alike = [] if users or ids else near(text, shelf.lists.keys.to_list())
    return {"text": text, "users": users, "items": [shelf.card(i) for i in ids], "near": alike}


def search(shelf: Shelf, live: Live, query: Query) -> dict[str, Any]:
    """Items nearest to a text, a photo, or both, in the one item space."""
    asked = bool(query.sources())
    rows = live.search(query, FOUND) if live.ready and asked else []
    return {
        "text": query.text,
        "asked": asked,
        "waiting": not live.ready and not live.fault,
        "fault": live.fault,
        "found": [(shelf.card(row["item_id"]), row["score"]) for row in rows],
    }


def user(shelf: Shelf, user_id: str) -> dict[str, Any]:
    """A user's latest events, and what is known of the person."""
    past = shelf.past[user_id]
    return {
        "user": user_id,
        "visits": _visits(shelf, past.tail(HISTORY).reverse()),
        "count": len(past),
        "about": _about(shelf, user_id),
    }


def listed(shelf: Shelf, live: Live, user_id: str, blend: Blend) -> dict[str, Any]:
    """A user's list: as published, or blended anew; with reasons once the model is ready."""
    rows = shelf.lists[user_id].sort("rank")
    published = dict(zip(rows["item_id"], rows["rank"], strict=True))
    by_model = len(rows) > 0 and rows["source"][0] == release.MODEL
    can = live.ready and by_model and len(shelf.past[user_id]) > 0
    if can and not blend.as_published:
        rows = live.lists(user_id, blend)
    names = release.term_names(rows)
    places = [
        {
            "rank": row["rank"],
            "before": published.get(row["item_id"]),
            "score": row["score"],
            "card": shelf.card(row["item_id"]),
            "terms": {name: row[release.TERM + name] or 0.0 for name in names},
            "pulls": [],
            "modalities": [],
        }
        for row in rows.iter_rows(named=True)
    ]
    if can and places:
        _explain(shelf, live, user_id, places)
    values = [value for place in places for value in place["terms"].values()]
    return {
        "places": places,
        "source": rows["source"][0] if len(rows) else "",
        "low": min([0.0, *values]),
        "high": max([0.0, *values]),
        "terms": [name for name in names if any(place["terms"][name] for place in places)],
        "can_blend": can,
        "waiting": by_model and not live.ready and not live.fault,
        "fault": live.fault,
        "as_published": blend.as_published,
    }


def item(shelf: Shelf, live: Live, item_id: str) -> dict[str, Any]:
    """An item: what the catalogue says, its neighbours, its modalities, its audience."""
    row = int(shelf.found.vocabulary.rows([item_id])[0])
    facts = shelf.facts(row) if row >= 0 else {}
    neighbours = [
        {"card": shelf.card(one["similar_item_id"]), "score": one["score"]}
        for one in shelf.near[item_id].sort("rank").iter_rows(named=True)
    ]
    inside = shelf.lists.frame.filter(pl.col("item_id") == item_id).sort("rank", "user_id")
    acted = shelf.past.frame.filter(pl.col("item_id") == item_id)
    hidden = {"item_id", "title", "category", "text", "image", "video", "audio", "description"}
    return {
        "card": shelf.card(item_id),
        "description": facts.get("description") or "",
        "facts": {
            name: _shown(value) for name, value in facts.items()
            if name not in hidden and not name.endswith("_hash") and value not in (None, [], "")
        },
        "near": neighbours,
        "weights": live.modality_weights(item_id) if live.ready and row >= 0 else {},
        "waiting": not live.ready and not live.fault,
        "listed": len(inside),
        "share": len(inside) / max(1, len(shelf.lists.keys)),
        "ranks": _ranks(inside["rank"].to_numpy()),
        "first": inside["user_id"].head(AUDIENCE).to_list(),
        "events": dict(acted.group_by("event").len().sort("event").iter_rows()),
        "people": acted["user_id"].n_unique(),
        "latest": acted["timestamp"].max(),
    }  # fmt: skip


def compared(shelf: Shelf, one: str, other: str, user_id: str) -> dict[str, Any]:
    """Two releases: what changed in all, and one user's two lists."""
    found = differences.run(shelf.settings, one, other)
    root = shelf.settings.root / "releases"
    lists = [lists_of(root, name)[user_id].sort("rank") for name in (found["from"], found["to"])]
    ranks = [dict(zip(rows["item_id"], rows["rank"], strict=True)) for rows in lists]
    columns = [
        [
            {"card": shelf.card(item_id), "rank": rank, "other": ranks[1 - side].get(item_id)}
            for item_id, rank in ranks[side].items()
        ]
        for side in (0, 1)
    ]
    return {"found": found, "columns": columns, "user": user_id}


def _explain(shelf: Shelf, live: Live, user_id: str, places: list[dict[str, Any]]) -> None:
    """Adds what drew each place: items of the history, and modalities of the item itself."""
    told = live.why(user_id, [place["card"].item_id for place in places])
    for place, why in zip(places, told, strict=True):
        place["pulls"] = [(shelf.card(one["item_id"]), one["worth"]) for one in why["drawn_by"]]
        place["modalities"] = list(why["parts"].items())


def _faces(shelf: Shelf, user_id: str) -> list[Card]:
    """What stands for a user: the latest items, else the first of the list."""
    past = shelf.past[user_id]["item_id"].reverse().unique(maintain_order=True)
    items = past if len(past) else shelf.lists[user_id].sort("rank")["item_id"]
    return [shelf.card(item_id) for item_id in items.head(FACES)]


def _visits(shelf: Shelf, events: pl.DataFrame) -> list[dict[str, Any]]:
    """Events one after the other on the same item are one visit; its events in their order."""
    visits: list[dict[str, Any]] = []
    for row in events.iter_rows(named=True):
        if not visits or visits[-1]["card"].item_id != row["item_id"]:
            card = shelf.card(row["item_id"])
            visits.append({"card": card, "events": [], "at": row["timestamp"]})
        told = f"{row['event']} {row['weight']:g}" if shelf.rated else row["event"]
        if told not in visits[-1]["events"]:
            visits[-1]["events"].insert(0, told)
    return visits


def _about(shelf: Shelf, user_id: str) -> dict[str, str]:
    people = shelf.found.users
    if people is None:
        return {}
    rows = people.filter(pl.col("user_id") == user_id).drop("user_id")
    return {} if rows.is_empty() else {
        name: _shown(value) for name, value in rows.row(0, named=True).items()
        if value not in (None, [], "")
    }  # fmt: skip


def _ranks(ranks: Any) -> dict[str, int]:
    """In how many lists an item stands where."""
    bounds = {"first": (1, 1), "2 to 5": (2, 5), "6 to 10": (6, 10), "further down": (11, 10**9)}
    return {name: int(((ranks >= a) & (ranks <= b)).sum()) for name, (a, b) in bounds.items()}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)

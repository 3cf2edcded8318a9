"""`recsys similar` and `show-user`: looking into the live release."""

from typing import Any

import polars as pl

from pipelines import inputs
from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import InputFault, near
from recsys.serving import release

HISTORY = 20


def similar(settings: Settings, item: str) -> dict[str, Any]:
    """The live release's neighbours of an item.

    Raises:
        InputFault: no such item; names near ones.
    """
    folder, _ = artefacts.current(settings.root / "releases", release.KIND)
    found = release.read_similar(folder)
    rows = found.filter(pl.col("item_id") == item).sort("rank")
    if rows.is_empty():
        raise unknown("item", item, found["item_id"].unique())
    titles = inputs.load(settings).titles()
    lines = [
        f"{row['rank']:>3}  {row['similar_item_id']:12}  {row['score']:.3f}  "
        f"{titles.get(row['similar_item_id'], '')}"
        for row in rows.iter_rows(named=True)
    ]
    return {
        "text": "\n".join([f"{item}  {titles.get(item, '')}", *lines]),
        "item": item,
        "similar": rows.drop("item_id").to_dicts(),
    }


def show_user(settings: Settings, user: str) -> dict[str, Any]:
    """A user's last events and live list, with every term of every score.

    Raises:
        InputFault: the live release has no list for such a user; names near ones.
    """
    folder, manifest = artefacts.current(settings.root / "releases", release.KIND)
    lists = release.read_lists(folder)
    rows = lists.filter(pl.col("user_id") == user).sort("rank")
    if rows.is_empty():
        raise unknown("user", user, lists["user_id"].unique())
    known = inputs.load(settings)
    titles, log = known.titles(), known.log.filter(pl.col("user_id") == user).tail(HISTORY)
    terms = release.term_names(rows)
    text = [f"history of {user}, newest last ({manifest['date']})"]
    text += [
        f"  {row['timestamp']:%Y-%m-%d %H:%M}  {row['event']:9}  {row['item_id']:12}  "
        f"{titles.get(row['item_id'], '')}"
        for row in log.iter_rows(named=True)
    ]
    text += [f"list ({rows['source'][0]}): rank, item, score = {' + '.join(terms)}"]
    text += [
        f"{row['rank']:>4}  {row['item_id']:12}  {row['score']:8.3f} = "
        + " + ".join(f"{row[release.TERM + term]:.2f}" for term in terms)
        + f"  {titles.get(row['item_id'], '')}"
        for row in rows.iter_rows(named=True)
    ]
    return {
        "text": "\n".join(text),
        "user": user,
        "history": log.select("timestamp", "event", "item_id").to_dicts(),
        "list": rows.drop("user_id").to_dicts(),
    }


def unknown(what: str, value: str, known: pl.Series, where: str = "the live release") -> InputFault:
    """The fault of an id that is not among `known`; names near ones."""
    ids = known.sort().to_list()
    alike = near(value, ids)
    hint = f"did you mean {', '.join(alike)}?" if alike else f"as {ids[:3]}"
    return InputFault(f"{where} knows no such {what}", value=value, where=where, fix=hint)

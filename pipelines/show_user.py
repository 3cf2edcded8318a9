"""`recsys show-user`: a user's history and live list, with every term and what drew each row."""

from typing import Any

import polars as pl

from pipelines import inputs, look, night, why
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts
from recsys.data import histories
from recsys.serving import release

HISTORY = 20


def run(settings: Settings, user: str, reasons: bool = False) -> dict[str, Any]:
    """A user's last events and live list, with every term of every score.

    Args:
        settings: all of them.
        user: id.
        reasons: also what drew each row of a model's list; that makes the night's vectors once
            more, which takes as long as a catch-up.

    Raises:
        InputFault: the live release has no list for such a user; names near ones.
    """
    folder, manifest = artefacts.current(settings.root / "releases", release.KIND)
    lists = release.read_lists(folder)
    rows = lists.filter(pl.col("user_id") == user).sort("rank")
    if rows.is_empty():
        raise look.unknown("user", user, lists["user_id"].unique())
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
    told = rows.drop("user_id").to_dicts()
    if reasons:
        told = _with_reasons(settings, known, manifest, user, told)
    for row in told:
        text.append(
            f"{row['rank']:>4}  {row['item_id']:12}  {row['score']:8.3f} = "
            + " + ".join(f"{row[release.TERM + term]:.2f}" for term in terms)
            + f"  {titles.get(row['item_id'], '')}"
        )
        if "why" in row:
            text.append(f"      {why.line(row['why'], titles)}")
    if reasons and (changed := look.changed_since(manifest, known)):
        text.append(f"(the {' and the '.join(changed)} changed since that release)")
    return {
        "text": "\n".join(text),
        "user": user,
        "history": log.select("timestamp", "event", "item_id").to_dicts(),
        "list": told,
    }


def _with_reasons(
    settings: Settings, found: Inputs, manifest: dict[str, Any], user: str,
    rows: list[dict[str, Any]],
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of a list, each with its `why`; as they are where nothing is known of the user."""
    if rows[0]["source"] != release.MODEL:
        return rows
    made = night.again(settings, Run("show-user"), found, manifest["date"])
    past = histories.active(histories.select(made.past, [user]))
    if not len(past):
        return rows
    told = why.of_list(made, past, [row["item_id"] for row in rows])
    return [row | {"why": reason} for row, reason in zip(rows, told, strict=True)]

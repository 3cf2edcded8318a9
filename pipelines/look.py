"""Looking into the live release: `recsys similar`, and what other looks share."""

from typing import Any

import polars as pl

from pipelines import inputs
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import InputFault, near
from recsys.serving import release


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


def changed_since(manifest: dict[str, Any], found: Inputs) -> list[str]:
    """Which of catalogue and interactions are others than those that a release was made from."""
    now = {"catalogue": found.catalogue.name, "interactions": found.interactions.name}
    return [name for name, value in now.items() if manifest["parents"].get(name) != value]


def unknown(what: str, value: str, known: pl.Series, where: str = "the live release") -> InputFault:
    """The fault of an id that is not among `known`; names near ones."""
    ids = known.sort().to_list()
    alike = near(value, ids)
    hint = f"did you mean {', '.join(alike)}?" if alike else f"as {ids[:3]}"
    return InputFault(f"{where} knows no such {what}", value=value, where=where, fix=hint)

"""`recsys search` and `similar`: items for a text, a picture, a clip, several of them, or an item.

A query is an item of which nothing but these is known: it goes through the item tower.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipelines import sources
from pipelines import space as spaces
from pipelines.settings import Settings
from pipelines.space import Source, Space, View
from recsys.data import media_paths
from recsys.errors import InputFault, UsageFault
from recsys.features.encoders import MODALITIES
from recsys.features.media import MediaFault
from recsys.models.item_features import ItemFeatures
from recsys.serving import vectors
from recsys.serving.item_space import Filters, Measure

EVERYTHING = Filters()


@dataclass(frozen=True)
class Query:
    """What is searched with; at least one of them."""

    text: str = ""
    image: Path | None = None
    video: Path | None = None
    audio: Path | None = None

    def sources(self) -> dict[str, str | Path]:
        """What is there, by modality."""
        every = {
            "text": self.text or None, "image": self.image, "video": self.video,
            "audio": self.audio,
        }  # fmt: skip
        return {name: source for name, source in every.items() if source is not None}


@dataclass(frozen=True)
class Likeness:
    """What makes items similar: the measure, what vectors are made from, and by which model."""

    measure: Measure = "cosine"
    view: View = "both"
    source: Source = "live"


ANY = Likeness()


def run(
    settings: Settings,
    query: Query,
    k: int,
    filters: Filters = EVERYTHING,
    likeness: Likeness = ANY,
) -> dict[str, Any]:
    """Opens the item space and searches once.

    Raises:
        UsageFault: an empty query, one that no encoder reads, or a filter that cannot be.
        InputFault: a file that cannot be read as what it should be; no model yet.
    """
    _require_something(query)
    space = spaces.open_space(settings, likeness.view, likeness.measure, likeness.source)
    found = search(space, query, k, filters)
    weights = spaces.weights_of(space.towers, query_features(space, query))[0]
    head = [f"query: {spaces.weighed(weights)}"] if weights else []
    return {
        "text": "\n".join([*head, *map(line, found)]) if found else "nothing passes the filters",
        "query_weights": weights,
        "items": found,
    }


def search(
    space: Space, query: Query, k: int, filters: Filters = EVERYTHING
) -> list[dict[str, Any]]:
    """The k items nearest to a query, best first; fewer only where no more pass the filters.

    Args:
        space: from `open_space`, opened once.
        query: texts and files, as by `query_features`.
        k: how many.
        filters: which items may be found.

    Returns:
        rows of `Space.told`.

    Raises:
        UsageFault, InputFault: as by `run`.
    """
    asked = vectors.of_items(space.towers, query_features(space, query))
    rows, scores = space.items.nearest(asked, k, space.allowed(filters))
    return space.told(rows[0], scores[0])


def similar(
    settings: Settings, item: str, likeness: Likeness, k: int, filters: Filters = EVERYTHING
) -> dict[str, Any]:
    """The k items nearest to an item, itself left out, by the model of choice.

    Raises:
        InputFault: no such item, or it has nothing that the view reads; no model yet.
        UsageFault: a filter that cannot be.
    """
    space = spaces.open_space(settings, likeness.view, likeness.measure, likeness.source)
    row = space.row(item)
    if not bool(space.features.present[row].any()):
        raise InputFault(
            f"the item has nothing that the view {likeness.view} reads", value=item,
            where="--view", fix="an item without training events has content only",
        )  # fmt: skip
    found = space.told(*space.items.similar(row, k, space.allowed(filters)))
    title = space.found.items["title"][row] or ""
    return {
        "text": "\n".join([f"{item}  {title}", *map(line, found)]),
        "item": item,
        "by": likeness.measure,
        "view": likeness.view,
        "model": likeness.source,
        "similar": found,
    }


def query_features(space: Space, query: Query) -> ItemFeatures:
    """The query as one item: vectors of what it has, everything else absent.

    Files are opened as the catalogue's are: regular files of known formats and bounded size only.

    Raises:
        UsageFault: an empty query, or a modality that no encoder reads or the model was not
            trained on.
        InputFault: a file or text that the encoder refuses.
    """
    _require_something(query)
    names, widths = space.features.names, space.features.widths
    values = {name: torch.zeros(1, widths[name]) for name in names}
    present = torch.zeros(1, len(names) + 1, dtype=torch.bool)
    for name, source in query.sources().items():
        values[name] = _encoded(space, name, source)
        present[0, names.index(name)] = True
    return ItemFeatures(names, values, present, torch.full((1,), -1))


def line(found: dict[str, Any]) -> str:
    """A row of `Space.told` as one line of text."""
    told = (
        f"{found['rank']:>3}  {found['item_id']:12}  {found['score']:6.3f}  {found['title'] or ''}"
    )
    return told + (f"  ({spaces.weighed(found['weights'])})" if found["weights"] else "")


def _encoded(space: Space, name: str, source: str | Path) -> torch.Tensor:
    """The vector `[1, D_m]` of one source."""
    readable = [known for known in MODALITIES if known in space.features.names]
    encoder = None
    if name in readable:
        encoder = sources.encoder(space.settings, next(m for m in MODALITIES if m == name))
    if encoder is None:
        raise UsageFault(
            f"this model reads no {name}", value=str(source), where=f"--{name}",
            fix=f"search with {', '.join(readable)}; an encoder for {name} belongs into the "
            f"settings (features.{name}), then `recsys train`",
        )  # fmt: skip
    with opened(name, source) as given:
        return torch.from_numpy(encoder.encode([encoder.load(given)]))


@contextmanager
def opened(name: str, source: str | Path) -> Iterator[Any]:
    """A text, or a file that is safe to open by the rules of the catalogue's media.

    Raises:
        InputFault: the file cannot be opened, or what is done with it ends in a `MediaFault`.
    """
    found: object = source
    if isinstance(source, Path):
        found = media_paths.resolve(source.parent, source.name)
    if isinstance(source, Path) and not isinstance(found, Path):
        raise InputFault(
            f"the query's {name} cannot be opened: {found}", value=str(source), where=f"--{name}",
            fix="name a regular file that can be read",
        )  # fmt: skip
    try:
        yield found
    except MediaFault as fault:
        raise InputFault(
            f"the query's {name} cannot be read: {fault.code}: {fault}", value=str(source),
            where=f"--{name}", fix="name another",
        ) from None  # fmt: skip


def _require_something(query: Query) -> None:
    if not query.sources():
        raise UsageFault(
            "there is nothing to search with", where="search",
            fix='give --text "...", --image FILE, --video FILE, or several of them',
        )  # fmt: skip

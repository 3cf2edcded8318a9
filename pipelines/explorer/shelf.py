"""What the explorer's pages are made from: one release, and the catalogue and log behind it."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import inputs
from pipelines.explorer.grouped import Grouped
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys import artefacts
from recsys.serving import release


@dataclass(frozen=True)
class Card:
    """An item as pages show it.

    Attributes:
        item_id, title, category, price: as in the catalogue; the title falls back to the id.
        picture, clip: a version of its first photo and clip, for their addresses; empty for none.
        there: whether the catalogue still knows it.
    """

    item_id: str
    title: str
    category: str = ""
    price: float | None = None
    picture: str = ""
    clip: str = ""
    there: bool = True

    @property
    def letter(self) -> str:
        """What stands for a picture where there is none."""
        return self.title.strip()[:1].upper() or "?"


@dataclass(frozen=True)
class Shelf:
    """A release and what it was made from.

    Attributes:
        settings: all of them.
        name, manifest: of the release.
        found: catalogue and log.
        at_seconds: the moment that its lists are for.
        lists: its lists, by user_id; near: similar items, by item_id.
        past: the log before that moment, by user_id.
    """

    settings: Settings
    name: str
    manifest: dict[str, Any]
    found: Inputs
    at_seconds: int
    lists: Grouped
    near: Grouped
    past: Grouped

    def card(self, item_id: str) -> Card:
        """An item of the catalogue; one that it no longer knows has only its id."""
        row = int(self.found.vocabulary.rows([item_id])[0])
        if row < 0:
            return Card(item_id, item_id, there=False)
        item = self.facts(row)
        hashes = [(item[f"{name}_hash"] or [""])[0][:16] for name in ("image", "video")]
        category = ", ".join(item["category"] or [])
        return Card(item_id, item["title"] or item_id, category, item["price"], *hashes)

    def facts(self, row: int) -> dict[str, Any]:
        """All that the catalogue says of an item."""
        return self.found.items.row(row, named=True)

    def media(self, item_id: str, name: str) -> str | None:
        """The path of an item's first `image` or `video`, as the catalogue has it."""
        row = int(self.found.vocabulary.rows([item_id])[0])
        paths = self.facts(row)[name] if row >= 0 else None
        return paths[0] if paths else None

    def some_pictures(self, count: int = 12) -> list[str]:
        """Paths of the first images of a few items, from all over the catalogue."""
        first = self.found.items["image"].list.first().drop_nulls()
        return first.gather_every(max(1, len(first) // count)).head(count).to_list()

    @functools.cached_property
    def rated(self) -> bool:
        """Whether events of one kind differ in weight: then the weight is a rating to be shown."""
        return self.past.frame["weight"].n_unique() > self.past.frame["event"].n_unique()

    def releases(self) -> list[str]:
        """Names of all releases, newest first."""
        return artefacts.versions(self.settings.root / "releases")[::-1]


def load(settings: Settings) -> Shelf:
    """The live release, checked, with catalogue and log.

    Raises:
        InputFault: there is no release yet, or something is damaged.
    """
    folder, manifest = artefacts.current(settings.root / "releases", release.KIND)
    found = inputs.load(settings)
    at_seconds = inputs.moment(manifest["date"], found.newest_seconds())[1]
    return Shelf(
        settings, folder.name, manifest, found, at_seconds,
        Grouped(release.read_lists(folder), "user_id"),
        Grouped(release.read_similar(folder), "item_id"),
        Grouped(found.log_before(at_seconds), "user_id"),
    )  # fmt: skip


@functools.lru_cache(maxsize=2)
def lists_of(root: Path, name: str) -> Grouped:
    """The lists of any release below `root`, by user_id.

    Raises:
        InputFault: damaged.
    """
    artefacts.read(root / name, release.KIND)
    return Grouped(release.read_lists(root / name), "user_id")

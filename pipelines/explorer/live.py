"""The model behind a release, made ready in the background: other blends of a list, and reasons."""

import threading
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import polars as pl
import torch

from pipelines import night, search, space, why
from pipelines.explorer.shelf import Shelf
from pipelines.night import Night
from pipelines.runs import Run
from pipelines.search import Query
from pipelines.space import Space
from pipelines.why import Why
from recsys import tracking
from recsys.data.histories import Histories
from recsys.errors import Fault
from recsys.serving import item_space, reasons, release
from recsys.serving.candidates import Candidates
from recsys.serving.reasons import LeftOut
from recsys.serving.recommend import Recommender

REMEMBERED = 64  # users


@dataclass(frozen=True)
class Blend:
    """What the sliders say: 1 leaves popularity and freshness as they are, 0 takes them out."""

    popularity: float = 1.0
    freshness: float = 1.0
    diversity: float | None = None  # None: as the settings have it

    @property
    def as_published(self) -> bool:
        """Whether nothing was moved."""
        return self == Blend()


@dataclass(frozen=True)
class Asked:
    """What no slider changes of one user; each part is made when it is first needed."""

    recommender: Recommender
    history: Histories
    k: int

    @cached_property
    def candidates(self) -> Candidates:
        """The best items before the reranker."""
        return self.recommender.candidates(self.history, self.k)

    @cached_property
    def without(self) -> LeftOut:
        """Vectors of the history without each of its items."""
        return reasons.left_out(self.recommender, self.history)


class Live:
    """The model that made the lists, brought up to their moment as the night did it.

    That takes as long as the night's catch-up, so it happens in a thread; until then pages show
    what the release holds.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._night: Night | None = None
        self._space: Space | None = None
        self.fault = ""
        self._asked = lru_cache(REMEMBERED)(self._ask)
        self._thread = threading.Thread(target=self._prepare, daemon=True, name="model")
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether lists can be blended and explained."""
        return self._night is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until the model is ready, or cannot become so; returns whether it is."""
        self._thread.join(seconds)
        return self.ready

    @property
    def night(self) -> Night:
        """What the lists were made from; only once it is `ready`."""
        assert self._night is not None
        return self._night

    def lists(self, user: str, blend: Blend) -> pl.DataFrame:
        """The list of a user with history, as the night would make it with another blend."""
        made, asked = self.night, self._asked(user)
        recommender = blended(made.recommender, blend)
        ranked = recommender.listed(asked.candidates, asked.history, asked.k)
        return release.list_frame((user,), ranked, recommender.names, made.found.vocabulary.ids)

    def why(self, user: str, items: list[str]) -> list[Why]:
        """Why these items stand in the user's list."""
        asked = self._asked(user)
        return why.of_list(self.night, asked.history, items, asked.without)

    def modality_weights(self, item: str) -> dict[str, float]:
        """How much each modality counts in an item's vector; empty where the fusion has none."""
        made = self.night
        chosen = made.features.gather(torch.from_numpy(made.found.vocabulary.rows([item])))
        return space.weights_of(made.model.towers, chosen)[0] or {}

    def search(self, query: Query, k: int) -> list[dict[str, Any]]:
        """The k items nearest to a query, as `search.search`."""
        assert self._space is not None
        return search.search(self._space, query, k)

    def _ask(self, user: str) -> Asked:
        shelf = self._shelf
        history = shelf.found.histories(shelf.settings, shelf.past[user])
        return Asked(self.night.recommender, history, shelf.settings.nightly.k)

    def _prepare(self) -> None:
        shelf = self._shelf
        try:
            made = night.again(shelf.settings, Run("explore"), shelf.found, shelf.manifest["date"])
            self._space = _space(shelf, made)
            self._night = made
        except Fault as fault:
            self.fault = tracking.redacted(fault.what)


def _space(shelf: Shelf, made: Night) -> Space:
    """The item space of the night's vectors."""
    every, vocabulary = made.recommender.item_vectors, made.found.vocabulary
    rows = np.flatnonzero(made.features.present.any(dim=1).numpy())
    settings = shelf.settings
    items = item_space.build(
        every, rows, vocabulary.checksum, settings.lists.index, aside=settings.root
    )
    model = made.model
    return Space(settings, made.found, model.towers, model.content, made.features, items)


def blended(recommender: Recommender, blend: Blend) -> Recommender:
    """The recommender with other weights of popularity, freshness and diversity."""
    old = recommender.reranker
    times = {"popularity": blend.popularity, "freshness": blend.freshness}
    factors = [times.get(name.split("_")[0], 1.0) for name in old.names]
    weights = tuple(np.multiply(old.weights, factors).tolist())
    rules = recommender.settings.diversity
    if blend.diversity is not None:
        rules = rules.model_copy(update={"mmr": blend.diversity})
    settings = recommender.settings.model_copy(update={"diversity": rules})
    return replace(recommender, reranker=replace(old, weights=weights), settings=settings)

"""From a model to lists: everything that one moment's lists need, put together once.

    recommender = prepare(model, features, shop, at_seconds, settings, reranker)
    ranked = recommender.lists(histories, k=10)

Validation, evaluation, the night and a notebook all make their lists here.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsys.data.histories import Histories
from recsys.data.people import People
from recsys.evaluation.lists import RowSets, row_sets
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import TwoTower
from recsys.serving import (
    candidates,
    categories,
    diversity,
    moment,
    newcomers,
    own_history,
    price_band,
    reranking,
    vectors,
)
from recsys.serving.candidates import Candidates, CandidateSettings
from recsys.serving.diversity import DiversitySettings
from recsys.serving.index import Index
from recsys.serving.index_settings import IndexSettings
from recsys.serving.index_tuning import Choice
from recsys.serving.indexing import Indexing
from recsys.serving.moment import Shop
from recsys.serving.newcomers import NewcomerSettings
from recsys.serving.reranking import ItemTerms, Ranked, Reranker, RerankSettings
from recsys.settings import Section

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]
USERS = 512  # whose own items are scored together


class ListSettings(Section):
    """How lists are made from vectors."""

    index: IndexSettings = Field(IndexSettings(), description="nearest-neighbour index")
    candidates: CandidateSettings = Field(
        CandidateSettings(), description="what reaches the reranker"
    )
    rerank: RerankSettings = Field(RerankSettings(), description="the terms of a list's score")
    diversity: DiversitySettings = Field(
        DiversitySettings(), description="rules that trade accuracy for variety"
    )
    newcomers: NewcomerSettings = Field(
        NewcomerSettings(), description="lists of users of whom no event is known"
    )


@dataclass(frozen=True)
class Recommender:
    """Everything that one moment's lists need; make it with `prepare`.

    `index_recall` is the share of exact search's candidates that the index finds, on the sample;
    `people` what the model reads of users besides their histories.
    """

    model: TwoTower
    item_vectors: Vectors
    index: Index
    exact: Index | None
    terms: ItemTerms
    reranker: Reranker
    at_seconds: float
    settings: ListSettings
    shop: Shop
    index_recall: float = 1.0
    people: People | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the T terms of a score, in their order."""
        segment = () if self.shop.newcomers is None else (newcomers.TERM,)
        return (*self.reranker.names, *self.settings.diversity.names, *segment)

    def candidates(
        self, histories: Histories, at_least: int = 0, moments: Rows | None = None
    ) -> Candidates:
        """The best items of each user before the reranker: `candidates.count`, or `at_least`.

        Args:
            histories: events before the moment, of users with at least one event.
            at_least: the fewest candidates wanted.
            moments: `[U]` epoch seconds at which each user asks; None for the recommender's moment.
        """
        asked = self.at_seconds if moments is None else moments
        users = vectors.of_users(self.model, self.item_vectors, histories, asked, self.people)
        queries = with_trend(users, np.ones(len(users)))
        repeats = self.settings.candidates.repeats
        seen = None if repeats else seen_items(histories)
        count = max(self.settings.candidates.count, at_least)
        found = candidates.find(self.index, queries, seen, self.exact, count)
        return self._with_own(found, histories, queries, asked) if repeats else found

    def _with_own(
        self, found: Candidates, histories: Histories, queries: Vectors, asked: float | Rows
    ) -> Candidates:
        """Candidates that know what each user has had; the latest of it is among them."""
        had = own_history.past(histories, asked, self.model.settings.trends.half_lives_days)
        rows = own_history.latest(had, len(queries), self.shop.eligible)
        trend = self.model.temperature.item() * self.terms.offsets()
        similarities = np.empty(rows.shape, np.float32)
        for start in range(0, len(rows), USERS):
            block = rows[start : start + USERS]
            there = with_trend(
                self.item_vectors[block].reshape(block.size, -1), trend[block].reshape(-1)
            ).reshape(*block.shape, -1)
            of_users = queries[start : start + USERS, :, None]
            similarities[start : start + USERS] = (there @ of_users)[..., 0]
        every = candidates.joined(found, rows, similarities)
        return replace(every, own=own_history.terms(had, every.rows))

    def lists(self, histories: Histories, k: int, moments: Rows | None = None) -> Ranked:
        """`[U, k]` items of each user, with scores and their terms.

        Args:
            histories: events before the moment, of users with at least one event.
            k: places per list.
            moments: as for `candidates`.
        """
        return self.listed(self.candidates(histories, k, moments), histories, k)

    def listed(self, found: Candidates, histories: Histories, k: int) -> Ranked:
        """`[U, k]` lists from candidates that are already there: scored, then varied.

        Raises:
            InputFault: a rule asks for what the shop does not know of its items.
        """
        rules, shop = self.settings.diversity, self.shop
        width = max(k, rules.pool) if rules.enabled else k
        width = found.rows.shape[1] if rules.price_band else width  # it may lift the last of them
        temperature = self.model.temperature.item()
        ranked = reranking.rerank(found, temperature, self.terms, self.reranker, width)
        if rules.price_band:
            logs = price_band.log_prices(shop.prices)
            quantiles = rules.price_quantiles
            ends = price_band.bands(histories.offsets, histories.items, logs, quantiles)
            ranked = price_band.applied(ranked, ends, logs, rules.price_band)
        taste = None
        if rules.calibration and shop.categories is not None:
            taste = categories.tastes(histories.offsets, histories.items, shop.categories)
        varied = diversity.diversify(ranked, k, rules, self.item_vectors, shop.categories, taste)
        lacking = len(self.names) - varied.terms.shape[-1]  # of newcomers alone
        return replace(varied, terms=np.pad(varied.terms, ((0, 0), (0, 0), (0, lacking))))


def prepare(
    model: TwoTower,
    features: ItemFeatures,
    shop: Shop,
    at_seconds: float,
    settings: ListSettings,
    reranker: Reranker | None = None,
    terms: ItemTerms | None = None,
    indexing: Indexing | None = None,
) -> Recommender:
    """Item vectors, index and score terms for one moment.

    Args:
        model: in evaluation mode.
        features: of all N items.
        shop: what else is known.
        at_seconds: the moment, epoch seconds.
        settings: of lists.
        reranker: fitted weights; None lists as the model scores.
        terms: of the items at the moment; None counts them from the shop's events.
        indexing: how the index is made; None makes it in memory, and `auto` exact.
    """
    every, known = vectors.of_items(model, features), moment.people_of(model, shop)
    if terms is None:
        terms = moment.item_terms(model, shop, at_seconds)
    if reranker is None:
        days = model.settings.trends.half_lives_days if settings.candidates.repeats else ()
        reranker = reranking.as_trained(terms, settings.rerank, own_history.names(days))
    indexing = indexing or Indexing()
    queries = np.zeros((0, every.shape[1] + 1), np.float32)
    if indexing.sample is not None:
        users = vectors.of_users(model, every, indexing.sample, at_seconds, known)
        queries = with_trend(users, np.ones(len(users)))
    choice, exact = _indexed(model, every, terms, shop, settings, queries, indexing)
    return Recommender(
        model, every, choice.index, exact, terms, reranker, at_seconds, settings, shop,
        choice.recall, known,
    )  # fmt: skip


def narrowed(recommender: Recommender, inside: Mask) -> Recommender:
    """The same for a shelf: it lists only the eligible items of `inside [N]`."""
    made, every = recommender, recommender.item_vectors
    shop = replace(made.shop, eligible=made.shop.eligible & inside)
    nobody = np.zeros((0, every.shape[1] + 1), np.float32)
    choice, exact = _indexed(made.model, every, made.terms, shop, made.settings, nobody, Indexing())
    return replace(made, index=choice.index, exact=exact, shop=shop, index_recall=choice.recall)


def _indexed(
    model: TwoTower, every: Vectors, terms: ItemTerms, shop: Shop, settings: ListSettings,
    queries: Vectors, indexing: Indexing,
) -> tuple[Choice, Index | None]:  # fmt: skip
    """The index of what may be listed, and its exact twin where it is approximate."""
    rows = np.flatnonzero(shop.eligible)
    placed = with_trend(every, model.temperature.item() * terms.offsets())[rows]
    given = (placed, rows, shop.checksum, settings.index, queries, settings.candidates.count)
    choice = indexing.choice(*given)
    return choice, candidates.exact_twin(placed, choice.index, indexing.aside)


def with_trend(of: Vectors, trend: npt.NDArray[np.floating]) -> Vectors:
    """`[n, D + 1]`: vectors with one number more, so that an inner product adds the trend.

    Items carry their trend times the temperature; users carry 1, and 0 where only the vectors shall
    count.
    """
    return np.concatenate([of, np.asarray(trend, np.float32)[:, None]], axis=1)


def seen_items(histories: Histories) -> RowSets:
    """The distinct items of each user."""
    return row_sets(histories.offsets, histories.items)

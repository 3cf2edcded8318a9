"""A small model with everything around it: ten items of two kinds, random weights."""

from collections.abc import Callable

import faiss
import numpy as np
import pytest
import torch

from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.trend_terms import SCALE, TrendSettings
from recsys.models.two_tower import AHEAD, ModelSettings
from recsys.serving import recommend
from recsys.serving.categories import categorised
from recsys.serving.moment import Shop
from recsys.serving.recommend import ListSettings, Recommender
from recsys.serving.reranking import Reranker

faiss.omp_set_num_threads(1)  # many tiny searches: threads that wait for work cost most
DAY = 86_400
NOW = 1_000 * DAY


Made = Callable[..., Recommender]


@pytest.fixture
def made() -> Made:
    """Makes a recommender; events, eligibility and weights, fitted and learned, can be chosen."""

    def make(
        items: int = 10,
        *,
        eligible: list[bool] | None = None,
        events: list[int] | None = None,
        weights: tuple[float, ...] | None = None,
        learned: tuple[float, float] = (0.0, 0.0),
        settings: ListSettings | None = None,
    ) -> Recommender:
        random = torch.Generator().manual_seed(0)
        text = torch.randn(items, 6, generator=random)
        features = ItemFeatures(("text",), {"text": text}, torch.ones(items, 2, dtype=torch.bool))
        terms = TrendSettings(half_lives_days=(1.0,), freshness_days=(3.0,))
        model = two_tower.build(ModelSettings(width=8, trends=terms), features, ("view",), 0).eval()
        with torch.no_grad():
            model.trends.small[AHEAD] = torch.tensor(learned) / SCALE
        rows = np.array([0, 1, 2] if events is None else events, np.int64)
        shop = Shop(
            np.ones(items, bool) if eligible is None else np.array(eligible),
            rows,
            np.full(len(rows), NOW - 3600, np.int64),
            np.full(items, np.nan),
            "checksum",
            2.0 ** (np.arange(items) % 50),
            categorised([["ab"[row % 2]] for row in range(items)]),
        )
        settings = settings or ListSettings()
        reranker = None
        if weights is not None:
            names = ("similarity", "popularity_1d", "freshness_3d", "own_1d")
            reranker = Reranker(names[: len(weights)], weights, settings.rerank)
        return recommend.prepare(model, features, shop, NOW, settings, reranker)

    return make

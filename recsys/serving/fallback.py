"""Popular lists for users of whom nothing is known, overall and per category.

Ordered by the reranker's own popularity and freshness terms, so that they follow the same trend as
the model's lists; without fitted weights by popularity alone.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.serving.recommend import Recommender

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SCHEMA = {
    "category": pl.String,
    "rank": pl.Int32,
    "item_id": pl.String,
    "score": pl.Float64,
}


def scores(recommender: Recommender) -> Floats:
    """`[N]` weighted terms without similarity; -inf for what may not be listed."""
    terms, weights = recommender.terms, recommender.reranker.weights[1:]
    # summed as the published score is, so that rank and score agree to the last bit
    every = weighted_terms(recommender, np.arange(len(terms.values))).sum(axis=-1)
    if not any(weights):
        every = terms.values[:, :1].sum(axis=1)
    listed = np.full(len(every), -np.inf)
    listed[recommender.index.rows] = every[recommender.index.rows]
    return listed


def rows(recommender: Recommender, k: int) -> Rows:
    """`[k]` the popular list; -1 where there are fewer items."""
    return _best(scores(recommender), k)


def weighted_terms(recommender: Recommender, listed: Rows) -> Floats:
    """`[K, T]` weighted terms of the popular list; what asks for a history is 0."""
    terms, weights = recommender.terms, np.asarray(recommender.reranker.weights)
    weighted = np.zeros((len(listed), len(recommender.names)))
    weighted[:, 1 : len(weights)] = terms.values[listed] * weights[1:]
    return weighted


def table(
    recommender: Recommender, item_ids: tuple[str, ...], categories: pl.Series, k: int
) -> pl.DataFrame:
    """The popular lists: overall (category null), then of each category in alphabetical order.

    Args:
        recommender: of the night.
        item_ids: in row order.
        categories: `[N]` list[str] per item.
        k: places per list.
    """
    every = scores(recommender)
    frames = [_frame(None, _best(every, k), every, item_ids)]
    members = pl.DataFrame({"row": np.arange(len(item_ids)), "category": categories}).explode(
        "category"
    )
    for (category,), group in sorted(
        members.drop_nulls().partition_by("category", as_dict=True).items(),
        key=lambda pair: str(pair[0]),
    ):
        inside = np.full(len(every), -np.inf)
        inside[group["row"].to_numpy()] = every[group["row"].to_numpy()]
        frames.append(_frame(str(category), _best(inside, k), every, item_ids))
    return pl.concat(frames)


def _best(every: Floats, k: int) -> Rows:
    order = np.lexsort((np.arange(len(every)), -every))[:k]
    order = order[np.isfinite(every[order])]
    return np.concatenate([order, np.full(k - len(order), -1)]).astype(np.int64)


def _frame(
    category: str | None, best: Rows, every: Floats, item_ids: tuple[str, ...]
) -> pl.DataFrame:
    best = best[best >= 0]
    return pl.DataFrame(
        {
            "category": [category] * len(best),
            "rank": range(1, len(best) + 1),
            "item_id": [item_ids[row] for row in best],
            "score": every[best],
        },
        schema=SCHEMA,
    )

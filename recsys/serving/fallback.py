"""Popular lists for users without history: by their segments, overall and per category.

Ordered by the reranker's own popularity and freshness terms, so that they follow the same trend as
the model's lists; without fitted weights by popularity alone.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.serving.recommend import Recommender
from recsys.serving.reranking import Ranked

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
    # summed as the published score is, so that rank and score agree to the last bit
    every = _weighted(recommender).sum(axis=-1)
    if not any(recommender.reranker.weights[1:]):
        every = recommender.terms.values[:, :1].sum(axis=1)
    return _listable(recommender, every)


def lists(recommender: Recommender, user_ids: Sequence[str], k: int) -> Ranked:
    """`[U, k]` the popular list of each user, with what their segments like as one more term."""
    found, member = by_segments(recommender, user_ids, k)
    return dealt(found, member)


def by_segments(recommender: Recommender, user_ids: Sequence[str], k: int) -> tuple[Ranked, Rows]:
    """`[G, k]` the popular list of each combination of segments, and `[U]` which one users have."""
    newcomers, unfitted = recommender.shop.newcomers, not any(recommender.reranker.weights[1:])
    every = _weighted(recommender)
    combinations, member = np.zeros((1, 0), np.int64), np.zeros(len(user_ids), np.int64)
    if newcomers is not None and not unfitted and user_ids:
        combinations, member = newcomers.groups(user_ids)
    found = []
    for combination in combinations:
        if newcomers is not None and combination.size:
            every[:, -1] = newcomers.lift(combination)
        order = scores(recommender) if unfitted else _listable(recommender, every.sum(axis=-1))
        best = _best(order, k)
        terms = np.where((best >= 0)[:, None], every[best], 0.0)
        found.append((best, np.where(best >= 0, terms.sum(axis=-1), -np.inf), terms))
    return Ranked(*(np.stack(part) for part in zip(*found, strict=True))), member


def dealt(found: Ranked, member: Rows) -> Ranked:
    """`[U, k]` lists of users of whom it is known which of `found [G, k]` each has."""
    return Ranked(found.rows[member], found.scores[member], found.terms[member])


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


def _weighted(recommender: Recommender) -> Floats:
    """`[N, T]` weighted terms of every item; what asks for a history is 0."""
    values, weights = recommender.terms.values, np.asarray(recommender.reranker.weights)
    weighted = np.zeros((len(values), len(recommender.names)))
    items = slice(1, 1 + values.shape[1])
    weighted[:, items] = values * weights[items]
    return weighted


def _listable(recommender: Recommender, every: Floats) -> Floats:
    listed = np.full(len(every), -np.inf)
    listed[recommender.index.rows] = every[recommender.index.rows]
    return listed


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

"""Similar items: neighbours of every item in the one item space. Called by the night."""

import numpy as np
import polars as pl

from recsys.serving.recommend import Recommender, with_trend

BLOCK = 4096
SCHEMA = {
    "item_id": pl.String,
    "rank": pl.Int32,
    "similar_item_id": pl.String,
    "score": pl.Float64,
}


def frame(recommender: Recommender, item_ids: tuple[str, ...], k: int) -> pl.DataFrame:
    """The k nearest listable items of every item, itself left out; sorted by (item_id, rank).

    The score is the inner product of the two vectors: for cosine models their cosine.
    """
    vectors = recommender.item_vectors
    index = recommender.exact or recommender.index
    parts = [pl.DataFrame(schema=SCHEMA)]
    for start in range(0, len(vectors), BLOCK) if k else ():
        block = vectors[start : start + BLOCK]
        rows, scores = index.search(with_trend(block, np.zeros(len(block))), k + 1)
        here = np.arange(start, start + len(rows))[:, None]
        scores = np.where((rows == here) | (rows < 0), -np.inf, scores)
        order = np.argsort(np.isneginf(scores), axis=1, kind="stable")[:, :k]  # closes the gap
        rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
        place, rank = np.nonzero(np.isfinite(scores))
        parts.append(
            pl.DataFrame(
                {
                    "item_id": [item_ids[row] for row in place + start],
                    "rank": rank + 1,
                    "similar_item_id": [item_ids[row] for row in rows[place, rank]],
                    "score": scores[place, rank].astype(np.float64),
                },
                schema=SCHEMA,
                strict=False,
            )
        )
    return pl.concat(parts).sort("item_id", "rank")

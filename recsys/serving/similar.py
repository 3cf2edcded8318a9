"""Similar items: neighbours of every item in the one item space. Called by the night."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.engine import HERE, EngineSettings, map_buckets
from recsys.serving.recommend import Recommender, with_trend

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
BLOCK = 4096
SCHEMA = {
    "item_id": pl.String,
    "rank": pl.Int32,
    "similar_item_id": pl.String,
    "score": pl.Float64,
}


def frames(
    recommender: Recommender,
    item_ids: pl.Series,
    order: Rows,
    k: int,
    engine: EngineSettings = HERE,
) -> Iterator[pl.DataFrame]:
    """The k nearest listable items of every item, itself left out; some items at a time.

    The score is the inner product of the two vectors: for cosine models their cosine. An
    approximate index answers here as it does for users; exact search fills what it leaves short.

    Args:
        recommender: of the night.
        item_ids: in row order.
        order: `[N]` rows of the items, as they shall follow each other.
        k: neighbours of an item; with 0 there is one frame, empty.
        engine: where the blocks are worked on.
    """

    def of_block(block: Rows) -> pl.DataFrame:
        rows, scores = _near(recommender, block, k)
        place, rank = np.nonzero(np.isfinite(scores))
        return pl.DataFrame(
            {
                "item_id": item_ids.gather(block[place]),
                "rank": (rank + 1).astype(np.int32),
                "similar_item_id": item_ids.gather(rows[place, rank]),
                "score": scores[place, rank].astype(np.float64),
            },
            schema=SCHEMA,
        )

    yield pl.DataFrame(schema=SCHEMA)
    starts = range(0, len(order), BLOCK) if k else ()
    yield from map_buckets(of_block, (order[start : start + BLOCK] for start in starts), engine)


def _near(recommender: Recommender, block: Rows, k: int) -> tuple[Rows, Vectors]:
    """`[b, k]` rows of the nearest others and inner products, -inf behind the last of them."""
    index, exact = recommender.index, recommender.exact
    queries = with_trend(recommender.item_vectors[block], np.zeros(len(block)))
    rows, scores = index.search(queries, k + 1)
    if exact is not None:
        short = np.flatnonzero((rows >= 0).sum(axis=1) < min(k + 1, len(exact)))
        rows[short], scores[short] = exact.search(queries[short], k + 1)
    scores = np.where((rows == block[:, None]) | (rows < 0), -np.inf, scores)
    best = np.argsort(np.isneginf(scores), axis=1, kind="stable")[:, :k]  # closes the gap
    return np.take_along_axis(rows, best, 1), np.take_along_axis(scores, best, 1)

"""What came out of a night, in numbers: for the manifest, the report and the terminal."""

import numpy as np
import polars as pl

from pipelines.inputs import Inputs
from recsys.serving.recommend import Recommender
from recsys.serving.stored_lists import StoredLists

DAY_SECONDS = 86_400


def of_lists(
    lists: StoredLists,
    found: Inputs,
    trained: tuple[str, ...],
    recommender: Recommender,
    at_seconds: int,
) -> dict[str, int]:
    """Users, rows and items of the lists, and how far new items reached into them.

    Args:
        lists: as published.
        found: catalogue and log.
        trained: ids that the trained model knows, before it caught up.
        recommender: of the night.
        at_seconds: the moment that the lists are for.
    """
    new = pl.Series(sorted(set(found.vocabulary.ids) - set(trained)), dtype=pl.String)
    created = found.created_seconds()
    last_day = np.flatnonzero((created >= at_seconds - DAY_SECONDS) & (created <= at_seconds))
    fresh = pl.Series([found.vocabulary.ids[row] for row in last_day], dtype=pl.String)
    listed = lists.listed
    return {
        "users": len(lists),
        "users_popular": len(lists) - len(lists.of_model),
        "rows": lists.rows,
        "items_listed": listed["item_id"].n_unique(),
        "items_eligible": len(recommender.index),
        "items_unknown_to_training": len(new),
        "rows_of_items_unknown_to_training": _rows_of(new, listed),
        "items_of_the_last_day": len(fresh),
        "rows_of_items_of_the_last_day": _rows_of(fresh, listed),
    }


def _rows_of(ids: pl.Series, listed: pl.DataFrame) -> int:
    return int(listed.filter(pl.col("item_id").is_in(ids.implode()))["times"].sum())

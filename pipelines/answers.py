"""Lists for all users of a window, of the model and of the baselines; called to be judged."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import encode
from pipelines.inputs import Inputs
from pipelines.lessons import Question
from pipelines.settings import Settings
from pipelines.train import Model
from recsys.data.histories import Histories
from recsys.evaluation import baselines as known_baselines
from recsys.models.item_features import ItemFeatures
from recsys.progress import track
from recsys.serving import fallback, recommend
from recsys.serving.recommend import Recommender

Rows = npt.NDArray[np.int64]


def recommender(
    settings: Settings, found: Inputs, model: Model, past: pl.DataFrame, at_seconds: int,
    features: ItemFeatures | None = None,
) -> Recommender:  # fmt: skip
    """What makes the lists of a moment in the log.

    Args:
        settings: of the lists.
        found: the catalogue.
        model: to list with.
        past: events before the moment.
        at_seconds: the moment.
        features: of the items; None for all that is known of them.
    """
    shop = found.shop(past, at_seconds, today=False, segments=settings.lists.newcomers)
    if features is None:
        features = encode.item_features(settings, found, model.trained, model.attributes)
    return recommend.prepare(
        model.towers, features, shop, at_seconds, settings.lists, model.reranker
    )


def lists(recommender: Recommender, asked: Question, k: int) -> Rows:
    """`[U, k]` lists as they would be published: users without history get the popular ones."""
    known = recommender.lists(asked.known, k, asked.moments).rows
    return with_popular(recommender, known, asked, k)


def model_alone(recommender: Recommender, asked: Question, k: int) -> Rows:
    """`[U, k]` lists as the model scores; users without history get the popular ones."""
    known = recommender.candidates(asked.known, moments=asked.moments).rows[:, :k]
    return with_popular(recommender, known, asked, k)


def baselines(
    settings: Settings, past: Histories, asked: Question, recommender: Recommender, k: int
) -> dict[str, Rows]:
    """Every baseline sees all that happened before the window, and lists what may be listed."""
    fitted = known_baselines.fit_baselines(
        past, len(recommender.item_vectors), asked.at_seconds, settings.evaluation.baselines
    )
    eligible = np.zeros(len(recommender.item_vectors), np.bool_)
    eligible[recommender.index.rows] = True
    everyone = asked.everyone()
    repeats = settings.lists.candidates.repeats
    seen = None if repeats else recommend.seen_items(everyone)
    return {
        name: known_baselines.recommend(baseline, everyone, seen, eligible, k)
        for name, baseline in track(fitted.fitted.items(), "baselines", len(fitted.fitted))
    }


def with_popular(recommender: Recommender, known: Rows, asked: Question, k: int) -> Rows:
    """Lists of the known, then those of the users without history."""
    return np.concatenate([known, fallback.lists(recommender, asked.new_ids, k).rows])

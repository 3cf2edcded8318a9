"""Lists for all users of a window, of the model and of the baselines; called to be judged."""

import numpy as np
import numpy.typing as npt

from pipelines.lessons import Question
from pipelines.settings import Settings
from recsys.data.histories import Histories
from recsys.evaluation import baselines as known_baselines
from recsys.progress import track
from recsys.serving import fallback, recommend
from recsys.serving.recommend import Recommender

Rows = npt.NDArray[np.int64]


def lists(recommender: Recommender, asked: Question, k: int) -> Rows:
    """`[U, k]` lists as they would be published: users without history get the popular ones."""
    known = recommender.lists(asked.known, k, asked.moments).rows
    return _with_popular(recommender, known, asked, k)


def model_alone(recommender: Recommender, asked: Question, k: int) -> Rows:
    """`[U, k]` lists as the model scores; users without history get the popular ones."""
    known = recommender.candidates(asked.known, moments=asked.moments).rows[:, :k]
    return _with_popular(recommender, known, asked, k)


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


def _with_popular(recommender: Recommender, known: Rows, asked: Question, k: int) -> Rows:
    popular = np.tile(fallback.rows(recommender, k), (len(asked.new), 1))
    return np.concatenate([known, popular])

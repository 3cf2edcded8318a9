"""Lists for all users of a window, of the model and of the baselines; called to be judged."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipelines import stand_ins
from pipelines.inputs import Inputs
from pipelines.questions import Question
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data.histories import Histories
from recsys.engine import EngineSettings, map_buckets
from recsys.evaluation import baselines as known_baselines
from recsys.evaluation.baselines import Baseline
from recsys.models.item_features import ItemFeatures
from recsys.serving import fallback, recommend
from recsys.serving.indexing import Indexing
from recsys.serving.recommend import Recommender

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
System = Callable[[Mask | None], Rows]  # lists `[U, K]` of all items, or of a shelf's `[N]` alone


def recommender(
    settings: Settings, found: Inputs, model: Model, past: Histories, at_seconds: int,
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
        features = stand_ins.item_features(settings, found, model.trained, model.attributes)
    return recommend.prepare(
        model.towers, features, shop, at_seconds, settings.lists, model.reranker,
        indexing=Indexing(aside=settings.root),
    )  # fmt: skip


def system(
    recommender: Recommender, asked: Question, k: int, engine: EngineSettings, *,
    reranked: bool = True,
) -> System:  # fmt: skip
    """Lists of a model: as they would be published, or, not `reranked`, as it scores."""
    return lambda shelf: lists(
        recommender if shelf is None else recommend.narrowed(recommender, shelf), asked, k, engine,
        reranked=reranked,
    )  # fmt: skip


def lists(
    recommender: Recommender, asked: Question, k: int, engine: EngineSettings, *,
    reranked: bool = True,
) -> Rows:  # fmt: skip
    """`[U, k]` lists, block by block of users; those without history get the popular ones.

    Args:
        recommender: of the moment.
        asked: the users.
        k: places per list.
        engine: where the blocks are worked on.
        reranked: as they would be published; else as the model scores.
    """

    def of_block(part: Question) -> Rows:
        if reranked:
            return recommender.lists(part.known, k, part.moments).rows
        return recommender.candidates(part.known, k, part.moments).rows[:, :k]

    made = [np.full((0, k), -1, np.int64), *map_buckets(of_block, asked.blocks(), engine)]
    return with_popular(recommender, np.concatenate(made), asked, k)


def baselines(
    settings: Settings, past: Histories, asked: Question, recommender: Recommender, k: int
) -> dict[str, System]:
    """Every baseline sees all that happened before the window, and lists what may be listed."""
    fitted = known_baselines.fit_baselines(
        past, len(recommender.item_vectors), asked.at_seconds, settings.evaluation.baselines,
        settings.lists.candidates.repeats,
    )  # fmt: skip
    everyone, eligible = asked.everyone(), recommender.shop.eligible
    seen = None if settings.lists.candidates.repeats else recommend.seen_items(everyone)

    def of(baseline: Baseline) -> System:
        return lambda shelf: known_baselines.recommend(
            baseline, everyone, seen, eligible if shelf is None else eligible & shelf, k,
            settings.engine,
        )  # fmt: skip

    return {name: of(baseline) for name, baseline in fitted.fitted.items()}


def with_popular(recommender: Recommender, known: Rows, asked: Question, k: int) -> Rows:
    """Lists of the known, then those of the users without history."""
    return np.concatenate([known, fallback.lists(recommender, asked.new_ids, k).rows])

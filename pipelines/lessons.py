"""What the towers learn from and are validated on; called by `train`, `tune` and `evaluate`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pipelines import encode, pretrain, stand_ins
from pipelines.inputs import Floats, Inputs
from pipelines.questions import Question, examined
from pipelines.settings import Settings
from recsys.data import histories as histories_module
from recsys.data import people, popularity, trends
from recsys.data.histories import Histories
from recsys.data.splits import VALIDATION, Split
from recsys.data.trends import Trends
from recsys.engine import HERE, map_buckets
from recsys.evaluation.metrics import match, recall_at_k
from recsys.models import two_tower
from recsys.models.two_tower import TwoTower
from recsys.serving import recommend
from recsys.serving.indexing import Indexing
from recsys.serving.moment import Shop
from recsys.training import trainer
from recsys.training.run import Report
from recsys.training.trainer import FitResult, TrainingData
from recsys.user_columns import UserColumn

Rows = npt.NDArray[np.int64]
VALIDATION_K = 10
MOST_VALUES = 256  # of a column of users.* that are told apart
FEWEST_USERS = 10  # who share a value, or nobody is told apart by it


@dataclass(frozen=True)
class Lesson:
    """What training needs besides the settings of model and training; `tune` shares it by trials.

    Attributes:
        names: ids of the items of training.
        attributes: of the catalogue, as learned from these items.
        data: what to learn from.
        asked: the validation window.
        shop: what lists of that window may know.
        user_columns: of the users' table, as told apart among the users of training.
    """

    names: list[str]
    attributes: dict[str, Any]
    data: TrainingData
    asked: Question
    shop: Shop
    user_columns: tuple[UserColumn, ...]


def prepare(settings: Settings, found: Inputs, split: Split) -> Lesson:
    """The training part with its items' features, and the validation window."""
    learned = split.training
    counts = histories_module.counts(learned, len(found.vocabulary))
    names = [found.vocabulary.ids[row] for row in np.flatnonzero(counts)]
    attributes = encode.fit_attributes(settings, found, counts > 0)
    features = stand_ins.item_features(settings, found, names, attributes)
    asked = examined(split)
    shop = found.shop(split.window(VALIDATION).history, asked.at_seconds, today=False)
    known = trends_of(settings, learned, found.created_seconds())
    columns = _user_columns(settings, found, learned)
    data = TrainingData(features, learned, known, people=people_of(found, learned, columns))
    return Lesson(names, attributes, data, asked, shop, columns)


def _user_columns(settings: Settings, found: Inputs, learned: Histories) -> tuple[UserColumn, ...]:
    """What the users' table tells apart among those who are learned from."""
    users, chosen = found.users, settings.model.users
    if users is None or not chosen.attributes:
        return ()
    here = users.filter(pl.col("user_id").is_in(learned.user_ids))
    return people.columns(here, chosen.attribute_columns, MOST_VALUES, FEWEST_USERS)


def people_of(found: Inputs, histories: Histories, columns: tuple[UserColumn, ...]) -> Rows | None:
    """`[U, C]` attributes of the users of histories; None where no column is read."""
    if not columns or found.users is None:
        return None
    return people.coded(found.users, columns).of(histories.user_ids)


def fit(
    settings: Settings, lesson: Lesson, folder: Path | None, report: Report, resume: bool = False
) -> tuple[TwoTower, FitResult]:
    """A model of `settings`, trained, with the weights of its best validated epoch.

    Args:
        settings: of model, training and lists.
        lesson: what to learn from.
        folder: of checkpoints; None for none.
        report: called with metrics and the step, as by `trainer.fit`.
        resume: go on from the newest checkpoint.

    Raises:
        InputFault: nothing to learn from, or a loss that is not finite.
        MismatchFault: `resume` with other settings or data than the checkpoint's.
    """
    features, asked = lesson.data.features, lesson.asked
    model = two_tower.build(
        settings.model, features, settings.event_names, settings.train.seed, lesson.user_columns
    )
    if settings.pretrain.warm_start:
        pretrain.warm(settings, model)

    def validate(candidate: TwoTower) -> float:
        recommender = recommend.prepare(
            candidate, features, lesson.shop, asked.at_seconds, settings.lists,
            indexing=Indexing(aside=settings.root),
        )  # fmt: skip

        def of_block(some: Question) -> npt.NDArray[np.float64]:
            ranked = recommender.candidates(some.known, moments=some.moments).rows
            return recall_at_k(match(ranked, some.relevant), VALIDATION_K)

        blocks = map_buckets(of_block, asked.blocks(), HERE)
        judged = np.concatenate([np.zeros(0), *blocks])
        return float(np.nanmean(judged)) if np.isfinite(judged).any() else math.nan

    count_events(model, lesson.data)
    result = trainer.fit(model, lesson.data, validate, settings.training, folder, report, resume)
    return model, result


def count_events(model: TwoTower, data: TrainingData) -> None:
    """Tells the model how many events each of its ids is learned from."""
    counts = popularity.counts(data.histories.items, len(data.features))
    model.learned_from(data.features, torch.from_numpy(counts))


def trends_of(settings: Settings, learned: Histories, created_seconds: Floats) -> Trends | None:
    """Popularity and age of the items on every day of training; None where no term asks."""
    chosen = settings.model.trends
    if not chosen.half_lives_days and not chosen.freshness_days:
        return None
    return trends.build(
        learned.items, learned.times, created_seconds, chosen.half_lives_days, chosen.smoothing
    )

"""Brings a trained model up to a moment: what happened since its training, it learns on top.

The night does it before it makes lists, and `evaluate` before it judges lists as the night makes
them. Items that are new since the training get an id of their own.
"""

from dataclasses import replace

import numpy as np

from pipelines import lessons, stand_ins
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import histories
from recsys.training import trainer
from recsys.training.trainer import TrainingData


def caught_up(settings: Settings, found: Inputs, model: Model, until_seconds: int) -> Model:
    """`model` after the events from its validation window until a moment; itself where none are.

    The same model, inputs, settings and moment give, on the CPU, the same weights.

    Args:
        settings: of the training; `train.catch_up_epochs` 0 leaves the model as it is.
        found: catalogue and log.
        model: as trained; its weights are not touched.
        until_seconds: only earlier events are known.

    Raises:
        InputFault: loss or gradient are not finite.
    """
    since = model.course["validation_seconds"]
    if since is None or not settings.train.catch_up_epochs:
        return model
    known = found.before(until_seconds)
    counts = histories.counts(known, len(found.vocabulary))
    trained = set(model.trained)
    listed = [found.vocabulary.ids[row] for row in np.flatnonzero(counts)]
    names = (*model.trained, *(name for name in listed if name not in trained))
    features = stand_ins.item_features(settings, found, names, model.attributes)
    towers = model.towers.grown(len(names))
    data = TrainingData(
        features, known, lessons.trends_of(settings, known, found.created_seconds()), since,
        lessons.people_of(found, known, towers.shape.user_columns),
    )  # fmt: skip
    lessons.count_events(towers, data)
    steps = trainer.catch_up(towers, data, settings.training)
    return replace(model, towers=towers.cpu(), trained=names) if steps else model

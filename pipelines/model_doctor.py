"""`recsys doctor --model`: is the live model trained against good negatives, are its lists healthy.

Each figure has a verdict and the setting that mends it. Figures of lists are those of the test
window, by the model alone: the reranker may hide what is wrong with the towers.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from pipelines import inputs, questions, stand_ins, train
from pipelines.doctor import Finding, as_text
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import histories, splits
from recsys.evaluation import health
from recsys.evaluation.health import ListHealth, VectorHealth
from recsys.serving import recommend, vectors
from recsys.serving.indexing import Indexing
from recsys.training import negatives
from recsys.training.batches import Batches
from recsys.training.negatives import NegativeStatistics

K = 10
FEW_NEGATIVES, FEW_OF_CATALOGUE = 100, 0.2
HEAD_SHARE = 0.4
FALSE_NEGATIVES = 0.01
LIFT = 4.0
SAME_LIST = 0.1
MEAN_COSINE, DIRECTIONS = 0.6, 4.0


def run(settings: Settings) -> dict[str, Any]:
    """Measures and judges; the settings' training set-up, and the live model.

    Raises:
        InputFault: there is no model yet.
    """
    found, model = inputs.load(settings), train.load(settings)
    split = splits.split(found.events, splits.SplitSettings.model_validate(model.course["split"]))
    learned = split.training
    size = len(found.vocabulary)
    batches = Batches(
        learned,
        size,
        settings.model.users.max_length,
        settings.training.batches,
        settings.train.seed,
    )
    statistics = negatives.measure(batches, learned, size, settings.train.batches.mask_history)
    counts = histories.counts(learned, size)
    lists, items, users = _of_model(settings, found, model, split, counts)
    findings = [
        *of_negatives(statistics),
        *of_lists(lists),
        *of_vectors("item vectors", items),
        *of_vectors("user vectors", users),
    ]
    return {"text": as_text(findings), "checks": [asdict(finding) for finding in findings]}


def of_negatives(found: NegativeStatistics) -> list[Finding]:
    """Verdicts on what targets are told apart from."""
    enough = min(FEW_NEGATIVES, FEW_OF_CATALOGUE * found.catalogue)
    return [
        _judged(
            "negatives", found.negatives >= enough,
            f"{found.negatives:.0f} negatives per target, {found.catalogue:,} items of training",
            "raise train.batches.batch_events or train.batches.negatives, or take "
            "train.batches.candidates=mixed",
        ),
        _judged(
            "skew", found.head_share <= HEAD_SHARE,
            f"{found.head_share:.0%} of the candidates are of the most popular tenth of the items, "
            f"which has {found.head_events:.0%} of the events",
            "take train.batches.candidates=mixed (or full), or raise train.batches.negatives",
        ),
        _judged(
            "false negs", found.false_negatives <= FALSE_NEGATIVES,
            f"{found.false_negatives:.2%} of the negatives are in the user's own history; "
            f"{found.hidden:.0%} of what users had is masked",
            "set train.batches.mask_history=true, or raise model.users.max_length",
        ),
    ]  # fmt: skip


def of_lists(found: ListHealth) -> list[Finding]:
    """Verdicts on lists."""
    return [
        _judged(
            "popularity", found.popularity_lift <= LIFT,
            f"listed items have {found.popularity_lift:.2f} times the events of consumed ones",
            "take train.batches.candidates=mixed; look whether features reach the item tower",
        ),
        _judged(
            "same list", found.same_list <= SAME_LIST,
            f"{found.same_list:.1%} of the users have the most common list",
            "lower train.optimizer.learning_rate, raise model.temperature; are histories read?",
        ),
    ]  # fmt: skip


def of_vectors(name: str, found: VectorHealth) -> list[Finding]:
    """Verdict on the spread of vectors."""
    spread = found.mean_cosine <= MEAN_COSINE and found.directions >= DIRECTIONS
    return [
        _judged(
            name, spread,
            f"mean cosine {found.mean_cosine:.2f}, {found.directions:.0f} effective directions",
            "the space has collapsed: lower train.optimizer.learning_rate, take "
            "train.batches.candidates=mixed or full",
        )
    ]  # fmt: skip


def _judged(check: str, good: bool, found: str, fix: str) -> Finding:
    return Finding(check, "ok" if good else "warn", found, "" if good else fix)


def _of_model(
    settings: Settings, found: Inputs, model: Model, split: splits.Split, counts: histories.Floats
) -> tuple[ListHealth, VectorHealth, VectorHealth]:
    asked = questions.question(split, splits.TEST)
    shop = found.shop(split.window(splits.TEST).history, asked.at_seconds, today=False)
    features = stand_ins.item_features(settings, found, model.trained, model.attributes)
    recommender = recommend.prepare(
        model.towers, features, shop, asked.at_seconds, settings.lists, model.reranker,
        indexing=Indexing(aside=settings.root),
    )  # fmt: skip
    ranked = recommender.candidates(asked.known, K, asked.moments).rows[:, :K]
    moments = asked.at_seconds if asked.moments is None else asked.moments
    users = vectors.of_users(
        model.towers, recommender.item_vectors, asked.known, moments, recommender.people
    )
    random = np.random.default_rng(0)
    return (
        health.of_lists(ranked, asked.relevant.rows, counts),
        health.of_vectors(recommender.item_vectors, random),
        health.of_vectors(users, random),
    )

"""Whether LambdaMART (LightGBM) over the terms of a list's score beats their linear blend.

    pip install lightgbm
    python benchmarks/learned_reranker.py --config configs/sample.toml [section.key=value ...]

Wants a trained model. Both see the same candidates and terms. Two questions: fitted on half of the
validation window's users, how are the lists of the other half in the same week; fitted on all of
them, how are the lists of the test week?
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np

from pipelines import answers, inputs, questions, train
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import splits
from recsys.data.splits import Split
from recsys.evaluation.lists import RowSets
from recsys.evaluation.metrics import match, ndcg_at_k, recall_at_k
from recsys.evaluation.significance import mean_interval
from recsys.serving import reranking
from recsys.serving.candidates import Candidates
from recsys.serving.recommend import Recommender
from recsys.settings import load

K = 10
TREES = {
    "objective": "lambdarank", "num_leaves": 7, "learning_rate": 0.05, "min_data_in_leaf": 200,
    "lambdarank_truncation_level": 2 * K, "num_threads": 1, "deterministic": True,
    "force_row_wise": True, "verbosity": -1,
}  # fmt: skip
ROUNDS = 100


@dataclass(frozen=True)
class Week:
    """Candidates of a window's users with a history, `[U, N]`, their terms, and what was chosen."""

    recommender: Recommender
    candidates: Candidates
    terms: np.ndarray
    relevant: RowSets

    def some(self, users: np.ndarray) -> "Week":
        """These users only."""
        found = Candidates(self.candidates.rows[users], self.candidates.similarities[users])
        sets = [self.relevant.block(user, user + 1).rows for user in users]
        offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in sets])])
        relevant = RowSets(offsets, np.concatenate(sets))
        return Week(self.recommender, found, self.terms[users], relevant)

    def lists(self, scores: np.ndarray) -> np.ndarray:
        """The K best candidates."""
        rows = self.candidates.rows
        order = np.lexsort((rows, -np.where(rows >= 0, scores, -np.inf)), axis=1)[:, :K]
        return np.take_along_axis(rows, order, 1)


def gathered(settings: Settings, found: Inputs, model: Model, split: Split, part: int) -> Week:
    asked = questions.question(split, part)
    past = split.window(part).history
    recommender = answers.recommender(settings, found, model, past, asked.at_seconds)
    candidates = recommender.candidates(asked.known, K, asked.moments)
    temperature = recommender.model.temperature.item()
    terms = reranking._values(candidates, temperature, recommender.terms)
    return Week(recommender, candidates, terms, asked.relevant)


def linear(week: Week) -> np.ndarray:
    temperature = week.recommender.model.temperature.item()
    settings = week.recommender.settings.rerank
    fitted = reranking.fit(
        week.candidates, temperature, week.recommender.terms, week.relevant, settings
    )
    return np.array(fitted.weights)


def trees(week: Week, start: np.ndarray | None) -> lightgbm.Booster:
    """Fitted to users with a relevant candidate; on top of linear weights, or of nothing."""
    chosen = match(week.candidates.rows, week.relevant).hits
    there = (week.candidates.rows >= 0) & chosen.any(axis=1, keepdims=True)
    values = week.terms[there]
    groups = there.sum(axis=1)
    first = None if start is None else values @ start
    data = lightgbm.Dataset(values, chosen[there], group=groups[groups > 0], init_score=first)
    return lightgbm.train(TREES, data, num_boost_round=ROUNDS)


def scores(week: Week, booster: lightgbm.Booster, start: np.ndarray | None) -> np.ndarray:
    flat = booster.predict(week.terms.reshape(-1, week.terms.shape[-1]), num_threads=1)
    found: np.ndarray = flat.reshape(week.terms.shape[:2])
    return found if start is None else found + week.terms @ start


def told(name: str, lists: np.ndarray, other: np.ndarray, relevant: RowSets) -> None:
    """One line: both means, and the paired difference."""
    line = f"{name:<44}"
    for metric in (recall_at_k, ndcg_at_k):
        ours, theirs = (metric(match(rows, relevant), K) for rows in (lists, other))
        gain = mean_interval(ours - theirs, np.random.default_rng(0))
        line += (
            f"  {metric.__name__[:-2]}_{K} {np.nanmean(ours):.4f} linear {np.nanmean(theirs):.4f}"
        )
        line += f" {gain.mean:+.4f} [{gain.low:+.4f} {gain.high:+.4f}]"
    print(line, flush=True)


def main(config: Path, words: list[str]) -> None:
    settings = load(Settings, config, words)
    found, model = inputs.load(settings), train.load(settings)
    split = splits.split(found.events, splits.SplitSettings.model_validate(model.course["split"]))
    week = gathered(settings, found, model, split, splits.VALIDATION)
    later = gathered(settings, found, model, split, splits.TEST)
    half = np.random.default_rng(0).integers(0, 2, len(week.candidates.rows))
    parts = [week.some(np.flatnonzero(half == side)) for side in (0, 1)]
    for name, on_top in (("trees", False), ("trees on top of the blend", True)):
        lists, blended = np.full((len(half), K), -1), np.full((len(half), K), -1)
        for side in (0, 1):
            weights, asked = linear(parts[side]), parts[1 - side]
            start = weights if on_top else None
            fitted = scores(asked, trees(parts[side], start), start)
            lists[half == 1 - side] = asked.lists(fitted)
            blended[half == 1 - side] = asked.lists(asked.terms @ weights)
        told(f"{name}, other users, same week", lists, blended, week.relevant)
        weights = linear(week)
        start = weights if on_top else None
        fitted = scores(later, trees(week, start), start)
        told(f"{name}, next week", later.lists(fitted), later.lists(later.terms @ weights),
             later.relevant)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3:])

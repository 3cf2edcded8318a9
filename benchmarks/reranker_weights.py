"""Which weights of a list's terms list best in the window after the one they were fitted on?

    python benchmarks/reranker_weights.py CONFIG --days 30 --windows 15
    python benchmarks/reranker_weights.py CONFIG --days 30 --windows 15 --users 5 20 100

For a model that was trained before (`recsys train --config CONFIG`, with a `split.end` early in the
log): the weights are fitted on each window of so many days after its training, by each rule, and
judged on the next window. One window says little where popularity comes in bursts; fifteen do. With
--users they are fitted on so few of a window's users, drawn six times, under several priors.
Results in `README.md` here.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from pipelines import answers, inputs, questions, trained
from pipelines.inputs import Inputs
from pipelines.questions import Question
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import histories
from recsys.data.histories import Histories
from recsys.data.splits import DAY_SECONDS, TRAIN, VALIDATION, Split
from recsys.evaluation import baselines
from recsys.evaluation.baselines import BaselineSettings
from recsys.evaluation.lists import Rows
from recsys.evaluation.metrics import match, ndcg_at_k, recall_at_k
from recsys.serving import recommend, reranking
from recsys.serving.candidates import Candidates
from recsys.serving.recommend import Recommender
from recsys.serving.reranking import Reranker, RerankSettings
from recsys.settings import load

K = 10
DRAWS, PRIORS = 6, (0.0, 0.5, 1.0, 2.0, 8.0)
RULES = {
    "as trained": RerankSettings(enabled=False),
    "likelihood": RerankSettings(places=0),
    "likelihood, then climbed as far as held-out users gain": RerankSettings(),
}


@dataclasses.dataclass(frozen=True)
class Moment:
    """The users of one window, and what could be listed to them."""

    asked: Question
    past: Histories
    recommender: Recommender
    candidates: Candidates


def moment(
    settings: Settings, found: Inputs, model: Model, whole: Split, start: int, days: float
) -> Moment:
    """The window of `days` from `start`; all before it is known."""
    events = histories.active(histories.before(whole.events, start + round(days * DAY_SECONDS)))
    parts = np.where(events.times < start, TRAIN, VALIDATION).astype(np.int8)
    split = dataclasses.replace(whole, events=events, parts=parts, validation_seconds=start)
    asked = questions.question(split, VALIDATION)
    past = split.window(VALIDATION).history
    recommender = answers.recommender(settings, found, model, past, start)
    return Moment(asked, past, recommender, recommender.candidates(asked.known))


def fitted(here: Moment, rule: RerankSettings, users: Rows | None = None) -> Reranker:
    """The weights that this rule learns from the window, or from some of its users."""
    temperature = here.recommender.model.temperature.item()
    terms, relevant, offered = here.recommender.terms, here.asked.relevant, here.candidates
    if users is not None:
        relevant = relevant.of(users)
        offered = Candidates(offered.rows[users], offered.similarities[users])
    return reranking.fit(offered, temperature, terms, relevant, rule)


def by_few(
    here: Moment, counts: list[int], random: np.random.Generator
) -> dict[str, list[Reranker]]:
    """Weights of as many draws of so few users who found something, under each prior."""
    found = match(here.candidates.rows, here.asked.relevant).hits.any(axis=1)
    made: dict[str, list[Reranker]] = {"as trained": [fitted(here, RULES["as trained"])]}
    for count in counts:
        for _ in range(DRAWS):
            users = np.sort(random.permutation(np.flatnonzero(found))[:count])
            for prior in PRIORS:
                rule = RerankSettings(prior=prior, places=0)
                name = f"{count} users, prior {prior:g}"
                made.setdefault(name, []).append(fitted(here, rule, users))
    return made


def judged(here: Moment, rows: np.ndarray) -> tuple[float, float]:
    """Recall and nDCG of lists for the users with history."""
    matches = match(rows, here.asked.relevant)
    return float(recall_at_k(matches, K).mean()), float(ndcg_at_k(matches, K).mean())


def recent_popular(here: Moment) -> np.ndarray:
    """Lists of what was popular in the days before."""
    shop, known = here.recommender.shop, here.asked.known
    items, now = len(shop.eligible), here.asked.at_seconds
    fit = baselines.fit("recent_popular", here.past, items, now, BaselineSettings())
    return baselines.recommend(fit, known, recommend.seen_items(known), shop.eligible, K)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--days", type=float, required=True)
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--users", type=int, nargs="+", help="fit on so few")
    chosen = parser.parse_args()
    settings = load(Settings, chosen.config)
    found, model = inputs.load(settings), trained.load(settings)
    first = found.split(settings).validation_seconds
    assert first is not None
    to_the_end = settings.split.model_copy(update={"end": ""})
    whole = found.split(settings.model_copy(update={"split": to_the_end}))
    results: dict[str, list[tuple[float, float]]] = {}
    rerankers: dict[str, list[Reranker]] = {}
    random = np.random.default_rng(0)
    for window in range(chosen.windows):
        start = first + round(window * chosen.days * DAY_SECONDS)
        here = moment(settings, found, model, whole, start, chosen.days)
        if rerankers:
            results.setdefault("recent popular", []).append(judged(here, recent_popular(here)))
        temperature, terms = here.recommender.model.temperature.item(), here.recommender.terms
        for name, some in rerankers.items():
            for reranker in some:
                ranked = reranking.rerank(here.candidates, temperature, terms, reranker, K)
                results.setdefault(name, []).append(judged(here, ranked.rows))
        if chosen.users:
            rerankers = by_few(here, chosen.users, random)
        else:
            rerankers = {name: [fitted(here, rule)] for name, rule in RULES.items()}
        print(f"window {window}: {len(here.asked.relevant):,} users", flush=True)
    print(f"| weights | recall_at_{K} | ndcg_at_{K} |\n| --- | --- | --- |")
    for name, pairs in results.items():
        recall, ndcg = np.mean(pairs, axis=0)
        print(f"| {name} | {recall:.4f} | {ndcg:.4f} |")


if __name__ == "__main__":
    main()

"""What variety costs: settings of the lists beside each other on the validation window.

Called by `recsys evaluate --trade-off`. The test window stays out of it, so that a user may choose
from it; the trained model was chosen and its reranker fitted on the same window.
"""

from typing import Any

import numpy as np

from pipelines import answers, questions
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import histories
from recsys.data.splits import VALIDATION, Split
from recsys.evaluation.evaluate import Segments, Shop, compare, judge
from recsys.evaluation.table import EvaluationTable, shown
from recsys.progress import track
from recsys.serving import trade_off
from recsys.serving.trade_off import AS_SET, Variant


def measure(
    settings: Settings, found: Inputs, split: Split, model: Model
) -> tuple[EvaluationTable, list[Variant]]:
    """Every variant's accuracy, coverage, novelty and diversity; differences to the lists as set.

    Args:
        settings: all of them.
        found: catalogue and log.
        split: as the model was trained with.
        model: as trained.
    """
    asked = questions.question(split, VALIDATION)
    past, k = split.window(VALIDATION).history, settings.evaluation.ks[0]
    recommender = answers.recommender(settings, found, model, past, asked.at_seconds)
    candidates = recommender.candidates(asked.known, k, asked.moments)
    counts = histories.counts(split.training, len(found.vocabulary))
    shop, wanted = Shop(counts, None, recommender.item_vectors), asked.wanted()
    tried, judged = trade_off.variants(recommender), {}
    for variant in track(tried, "variants", len(tried)):
        made = variant.recommender.listed(candidates, asked.known, k).rows
        rows = answers.with_popular(variant.recommender, made, asked, k)
        judged[variant.name] = judge(rows, wanted, (k,), Segments(), shop)
    random = np.random.default_rng(settings.evaluation.seed)
    return compare(judged, AS_SET, random, settings.evaluation.draws), tried


def as_text(table: EvaluationTable, settings: Settings) -> str:
    """For a terminal: a line a variant."""
    k = settings.evaluation.ks[0]
    names = [f"{name}_at_{k}" for name in ("recall", "coverage", "novelty", "diversity")]
    lines = [
        f"what variety costs, on the validation window: {table.users:,} users; differences to the "
        "lists as set, paired, * where they exclude 0",
        f"{'':<20}{names[0]:<14}{'less as set':<27}" + "".join(f"{n:<17}" for n in names[1:]),
    ]
    for system in table.systems:
        recall = table.cell(system, names[0])
        less = shown(recall.difference, "+") if recall.difference else ""
        means = "".join(f"{table.mean(system, name):<17.4f}" for name in names[1:])
        lines.append(f"{system:<20}{recall.value.mean:<14.4f}{less:<27}{means}".rstrip())
    return "\n".join(lines) + "\n"


def as_dict(table: EvaluationTable, tried: list[Variant], settings: Settings) -> dict[str, Any]:
    """For `table.json`: what each variant changes, and the table's rows."""
    changed = [{"system": v.name, "rule": v.rule, "value": v.value} for v in tried]
    now = trade_off.as_set(tried[0].recommender)
    k = settings.evaluation.ks[0]
    return {"k": k, "as_set": now, "variants": changed, **table.to_dict()}

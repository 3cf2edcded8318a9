"""What a stale list costs: lists as made at the window's beginning beside lists made anew later.

Called by `recsys evaluate --stale`.
"""

import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines import answers, catch_up
from pipelines.inputs import Inputs
from pipelines.questions import Question
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data import histories
from recsys.data.histories import Histories
from recsys.data.splits import TEST, Split
from recsys.errors import UsageFault
from recsys.evaluation import staleness
from recsys.evaluation.evaluate import compare
from recsys.evaluation.lists import RowSets
from recsys.evaluation.staleness import Span
from recsys.evaluation.table import EvaluationTable, shown
from recsys.progress import track
from recsys.serving import fallback

Rows = npt.NDArray[np.int64]
STALE, FRESH = "stale", "fresh"


def spans(settings: Settings, split: Split) -> tuple[Span, ...]:
    """The spans of the test window.

    Raises:
        UsageFault: the split is not one in time: there is no moment at which lists are made.
    """
    if split.test_seconds is None:
        raise UsageFault(
            "only a split in time says what a list is worth later", value=split.kind,
            where="--stale", fix="train with split.kind=global_time, or leave --stale out",
        )  # fmt: skip
    return staleness.spans(split.test_seconds, split.end_seconds, settings.evaluation.staleness)


def measure(
    settings: Settings, found: Inputs, split: Split, model: Model, asked: Question, made: Rows
) -> EvaluationTable:
    """Recall in each span of the lists as made, `stale`, and of lists made at its start, `fresh`.

    Fresh lists are those that the night would make then: the model caught up, and the histories,
    items and popularity of that moment. Differences are fresh less stale, paired by user.

    Args:
        settings: all of them.
        found: catalogue and log.
        split: as the model was trained with.
        model: as trained.
        asked: the test window.
        made: `[U, K]` lists of all its users, made at its beginning.
    """
    every = spans(settings, split)
    done = histories.select(split.window(TEST).relevant, asked.everyone().user_ids)
    repeats = settings.lists.candidates.repeats
    relevant = staleness.relevant_by_span(done, every, repeats=repeats)
    fresh = [made]
    for span, sets in track(zip(every[1:], relevant[1:], strict=True), FRESH, len(every) - 1):
        fresh.append(_fresh(settings, found, split, model, (done, sets, span), made.shape[1]))
    ks = settings.evaluation.ks
    judgements = {
        STALE: staleness.judged([made] * len(every), relevant, every, ks),
        FRESH: staleness.judged(fresh, relevant, every, ks),
    }
    random = np.random.default_rng(settings.evaluation.seed)
    return compare(judgements, STALE, random, settings.evaluation.draws)


def as_text(table: EvaluationTable, settings: Settings, split: Split) -> str:
    """For a terminal: a line a span, with what the lists' age cost there."""
    k, every = settings.evaluation.ks[0], spans(settings, split)
    made = datetime.datetime.fromtimestamp(every[0].start_seconds, datetime.UTC)
    lines = [
        f"recall_at_{k} by hours since the lists were made, {made:%Y-%m-%d %H:%M} UTC; fresh lists "
        "are made at the beginning of the hours",
        f"{'hours':<12}{'users':>7}  {'stale':<25}{'fresh':<25}fresh less stale, paired",
    ]
    for span in every:
        name = f"recall_at_{k}/{span.name}"
        stale, fresh = table.cell(STALE, name), table.cell(FRESH, name)
        cost = shown(fresh.difference, "+") if fresh.difference else ""
        hours = f"{span.from_hours:g} to {span.to_hours:g}"
        lines.append(
            f"{hours:<12}{stale.value.users:>7,}  {shown(stale.value, ''):<25}"
            f"{shown(fresh.value, ''):<25}{cost}"
        )
    return "\n".join(lines) + "\n"


def as_dict(table: EvaluationTable, settings: Settings, split: Split) -> dict[str, Any]:
    """For `table.json`: the spans, and the table's rows."""
    every = [
        {"segment": span.name, "from_hours": span.from_hours, "to_hours": span.to_hours}
        for span in spans(settings, split)
    ]
    return {"k": settings.evaluation.ks[0], "spans": every, **table.to_dict()}


def _fresh(
    settings: Settings, found: Inputs, split: Split, model: Model,
    asked: tuple[Histories, RowSets, Span], k: int,
) -> Rows:  # fmt: skip
    """`[U, k]` lists made at a span's start for users who did something in it; -1 for others."""
    done, relevant, span = asked
    start = span.start_seconds
    past = histories.active(histories.before(split.events, start))
    updated = catch_up.caught_up(settings, found, model, start)
    recommender = answers.recommender(settings, found, updated, past, start)
    active = np.flatnonzero(relevant.sizes())
    names = [done.user_ids[user] for user in active]
    told = histories.select(past, names)
    there, chosen = np.diff(told.offsets) > 0, histories.active(told)
    lists = np.full((len(done), k), -1, np.int64)
    lists[active] = fallback.lists(recommender, names, k).rows
    lists[active[there]] = recommender.lists(chosen, k).rows
    return lists

"""Does content pay: the same lists with modalities hidden, or from models trained without them.

Called by `evaluate`: `--without NAME` hides one, `--only NAME` all others, `--ablate` does both for
each modality.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines import lessons, train
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys.data.splits import Split
from recsys.errors import UsageFault, near
from recsys.evaluation.table import EvaluationTable
from recsys.models.item_features import ID, ItemFeatures
from recsys.progress import say


@dataclass(frozen=True)
class Ablation:
    """What `evaluate` is asked for.

    Attributes:
        without: modalities to hide, each by itself; `id` hides the ids.
        only: modalities to show, each by itself.
        every: hides each modality by itself, and shows each by itself.
        stand_ins: fills what items lack with generated vectors.
        retrain: trains anew for each, instead of hiding from the trained model.
    """

    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    every: bool = False
    stand_ins: bool = False
    retrain: bool = False


def variants(features: ItemFeatures, asked: Ablation) -> dict[str, ItemFeatures]:
    """Features with modalities hidden, by the name that the table gives them.

    Raises:
        UsageFault: there is no such modality.
    """
    names = (*features.names, ID)
    for option, chosen in (("--without", asked.without), ("--only", asked.only)):
        for name in set(chosen) - set(names):
            alike = near(name, names, 1)
            hint = f"did you mean {alike[0]!r}? " if alike else ""
            raise UsageFault(
                "no such modality", value=name, where=option,
                fix=f"{hint}one of {', '.join(names)}",
            )  # fmt: skip
    hidden = names if asked.every else asked.without
    found = {f"without {name}": features.only(set(names) - {name}) for name in hidden}
    alone = names if asked.every and len(names) > 1 else asked.only
    return found | {f"only {name}": features.only({name}) for name in alone}


def trained(
    settings: Settings, found: Inputs, split: Split, model: Model, features: ItemFeatures
) -> Model:
    """`model` trained anew, with its reranker, where only `features` can be seen."""
    lesson = lessons.prepare(settings, found, split)
    lesson = replace(lesson, data=replace(lesson.data, features=features))

    def report(metrics: Mapping[str, float], step: int) -> None:
        if "validation" in metrics:
            say(f"step {step}: validation {metrics['validation']:.4f}")

    towers, _ = lessons.fit(settings, lesson, None, report)
    towers.eval()
    reranker = train.settle(settings, towers, lesson)
    return replace(model, towers=towers.cpu(), reranker=reranker)


def verdicts(table: EvaluationTable, metric: str) -> list[str]:
    """One sentence for each hidden modality: what hiding it does, and whether it hurts to have it.

    Args:
        table: with rows `without NAME`, compared with the lists.
        metric: such as `recall_at_10`.
    """
    lines = []
    for system in table.systems:
        found = table.cell(system, metric).difference if system.startswith("without ") else None
        if found is None or math.isnan(found.mean):
            continue
        said = "shows no clear effect"
        if found.high < 0:
            said = "pays"
        if found.low > 0:
            said = "HURTS: leave it out"
        lines.append(
            f"{system.removeprefix('without ')} {said}: {metric} {found.mean:+.4f} "
            f"[{found.low:+.4f} {found.high:+.4f}] without it"
        )
    return lines

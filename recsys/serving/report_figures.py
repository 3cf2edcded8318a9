"""The numbers of an evaluation and of a training run, arranged for the report's tables and charts.

Reads what `EvaluationTable.to_dict` and the model folder's training.json hold; called by `report`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsys.serving import charts
from recsys.serving.charts import Bar, Pair

LABELS = {
    "lists": "Lists, as trained",
    "caught_up": "Lists, caught up (published)",
    "model": "Two towers alone",
    "popular": "Popular",
    "recent_popular": "Recently popular",
    "own_history": "Own history",
    "item_knn": "Item k-NN",
    "item_knn_recent": "Item k-NN, latest events",
    "ease": "EASE",
    "ease_recent": "EASE, latest events",
    "markov": "Markov chain",
}
OURS = ("caught_up", "lists", "model")
COLUMNS = ("recall", "ndcg", "hit_rate", "mrr", "coverage", "novelty")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Segment:
    """A part of the users or items: the lists' row there, and the best baseline's."""

    name: str
    ours: Row
    other: Row | None

    @property
    def label(self) -> str:
        """`user_new` as `Users: new`."""
        kind, _, rest = self.name.partition("_")
        plural = {"user": "Users", "item": "Items"}.get(kind, kind)
        return f"{plural}: {rest.replace('_', ' ')}"


def headline(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The lists' first recall, the best baseline's, and their paired difference; {} without one."""
    table, metric = _table(evaluation), _recall(evaluation)
    ours = table.get((evaluation.get("against", "lists"), metric))
    if ours is None or ours["mean"] is None:
        return {}
    best = _best_baseline(table, metric)
    return {
        "metric": metric,
        "k": _k(evaluation),
        "ours": ours,
        "users": evaluation["users"],
        "facts": evaluation.get("facts", {}),
        "best": best,
        "best_label": label(best["system"]) if best else "",
        "ratio": ours["mean"] / best["mean"] if best and best["mean"] else None,
        "verdict": _verdict(best),
    }


def told(evaluation: Mapping[str, Any]) -> list[str]:
    """The headline as a line for a terminal; none without an evaluation."""
    found = headline(evaluation)
    if not found:
        return []
    ours, best = found["ours"], found["best"]
    line = f"{found['metric']} {_interval(ours)} over {found['users']:,} users of the test window"
    if best:
        line += f"; best baseline {found['best_label']} {_interval(best)}"
    return [line]


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['mean']:.4f} [{row['low']:.4f} {row['high']:.4f}]"


def metrics(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Every system's main metrics, and the chart of the first recall; {} without an evaluation."""
    table, recall = _table(evaluation), _recall(evaluation)
    systems = _ordered(table, recall)
    if not systems:
        return {}
    k = _k(evaluation)
    wanted = [name if name == "mrr" else f"{name}_at_{k}" for name in COLUMNS]
    names = [name for name in wanted if any((system, name) in table for system in systems)]
    return {
        "names": names,
        "k": k,
        "against": evaluation["against"],
        "hidden": any(_is_ablation(system) for system in systems),
        "rows": [
            {
                "label": label(system),
                "system": system,
                "ours": system in OURS,
                "cells": [table.get((system, name)) for name in names],
                "difference": difference(table[system, recall]),
            }
            for system in systems
        ],
        "chart": charts.bars(
            [_bar(table[system, recall], _colour(system)) for system in systems],
            f"recall_at_{k}, with 95 % intervals",
        ),
    }


def segments(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The first recall by segment, ours beside the best baseline; {} where there are none."""
    table, recall = _table(evaluation), _recall(evaluation)
    best = _best_baseline(table, recall)
    against = evaluation.get("against", "lists")
    rows = []
    for (system, metric), row in table.items():
        name = metric.removeprefix(f"{recall}/")
        if system != against or name == metric or row["mean"] is None:
            continue
        other = table.get((best["system"], metric)) if best else None
        other = other if other and other["mean"] is not None else None
        rows.append(Segment(name, row, other))
    # a shelf's lists hold nothing else: their recall, near 1, would leave the others no room
    shown = [row for row in rows if not row.name.startswith("item_only_")]
    shown = [row for row in shown if not row.name.endswith("_shelf")]
    if not shown:
        return {}
    names = (label(against), label(best["system"]) if best else "")
    pairs = [
        Pair(
            row.label,
            _bar(row.ours, charts.BLUE),
            _bar(row.other, charts.ORANGE) if row.other else None,
        )
        for row in shown
    ]
    return {"rows": rows, "names": names, "chart": charts.pairs(pairs, recall, names)}


def course(training: Mapping[str, Any]) -> dict[str, Any]:
    """The run's curves and what was kept; {} where no epoch was finished."""
    epochs: Sequence[Mapping[str, float]] = training.get("epochs", ())
    if not epochs:
        return {}
    best = int(training["best_epoch"])
    validation = [epoch["validation"] for epoch in epochs]
    return {
        "epochs": len(epochs),
        "steps": len(training.get("losses", ())),
        "best": best + 1,
        "validation": validation[best],
        "first_loss": epochs[0]["loss"],
        "last_loss": epochs[-1]["loss"],
        "chart": charts.training(
            [epoch["loss"] for epoch in epochs], validation, best, "validation recall"
        ),
    }


def label(system: str) -> str:
    """A system's name for readers."""
    if _is_ablation(system):
        how, name = system.split(" ", 1)
        return f"Lists without {name}" if how == "without" else f"Lists with only {name}"
    return LABELS.get(system, system.replace("_", " "))


def _table(evaluation: Mapping[str, Any]) -> dict[tuple[str, str], Row]:
    return {(row["system"], row["metric"]): row for row in evaluation.get("rows", ())}


def _k(evaluation: Mapping[str, Any]) -> int:
    """The first list length that was judged at."""
    ks = evaluation.get("facts", {}).get("ks")
    if ks:
        return int(ks[0])
    found = [row["metric"] for row in evaluation.get("rows", ())]
    tails = [name.rsplit("_", 1)[1] for name in found if name.startswith("recall_at_")]
    return int(tails[0]) if tails and tails[0].isdigit() else 10


def _recall(evaluation: Mapping[str, Any]) -> str:
    return f"recall_at_{_k(evaluation)}"


def _ordered(table: Mapping[tuple[str, str], Row], metric: str) -> list[str]:
    """Ours first, then baselines from best to worst, then our lists with a modality hidden."""
    systems = [
        name for name, found in table if found == metric and table[name, found]["mean"] is not None
    ]

    def place(name: str) -> tuple[int, float]:
        if name in OURS:
            return OURS.index(name), 0.0
        return len(OURS) + _is_ablation(name), -table[name, metric]["mean"]

    return sorted(systems, key=place)


def _best_baseline(table: Mapping[tuple[str, str], Row], metric: str) -> Row | None:
    found = [name for name in _ordered(table, metric) if _is_baseline(name)]
    return table[found[0], metric] if found else None


def _is_baseline(system: str) -> bool:
    return system not in OURS and not _is_ablation(system)


def difference(row: Row) -> dict[str, Any] | None:
    """Minus what the published lists reach, and whether its interval excludes 0."""
    if row.get("difference") is None:
        return None
    low, high = row["difference_low"], row["difference_high"]
    clear = low is not None and high is not None and (low > 0 or high < 0)
    return {"mean": row["difference"], "low": low, "high": high, "clear": clear}


def _verdict(best: Row | None) -> str:
    """What the paired difference to the best baseline says of the lists: better, worse, even."""
    found = difference(best) if best else None
    if found is None:
        return ""
    if not found["clear"]:
        return "even"
    return "better" if found["mean"] < 0 else "worse"


def _is_ablation(system: str) -> bool:
    return system.startswith(("without ", "only "))


def _colour(system: str) -> str:
    if _is_ablation(system):
        return charts.SKY
    ours = {"caught_up": charts.BLUE, "lists": charts.BLUE, "model": charts.GREEN}
    return ours.get(system, charts.GREY)


def _bar(row: Row, colour: str) -> Bar:
    low, high = row["low"], row["high"]
    known = all(value is not None and math.isfinite(value) for value in (low, high))
    return Bar(
        label(row["system"]), row["mean"], low if known else None, high if known else None, colour
    )

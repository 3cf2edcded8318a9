"""The report's curves: what lists are worth as they get older, and what variety costs.

Reads the `staleness` and `trade_off` parts of an evaluation's table.json, which are there where
they were asked for; called by `report`.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from recsys.serving import charts, line_charts
from recsys.serving.line_charts import Line
from recsys.serving.report_figures import difference

AS_SET = "as set"
COLOURS = {
    "mmr": charts.BLUE,
    "category_cap": charts.ORANGE,
    "calibration": charts.GREEN,
    "price_band": charts.VERMILION,
    "popularity": charts.GREY,
    "similarity alone": charts.SKY,
}
NIGHTLY = {
    "users": ("users, of the most", charts.GREY),
    "coverage": ("coverage", charts.GREEN),
    "recall": ("recall", charts.BLUE),
}
Row = Mapping[str, Any]
ASIDE = 0.012  # of the axis
MARKS = 6  # most days that are named below the chart of nights, less one
Point = tuple[str, float, list[float]]


def staleness(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Recall by age of the lists, as made and made anew; {} where it was not measured."""
    part = evaluation.get("staleness")
    if not part:
        return {}
    table = {(row["system"], row["metric"]): row for row in part["rows"]}
    rows = []
    for span in part["spans"]:
        metric = f"recall_at_{part['k']}/{span['segment']}"
        stale, fresh = table["stale", metric], table["fresh", metric]
        if stale["mean"] is not None and fresh["mean"] is not None:
            rows.append({**span, "stale": stale, "fresh": fresh, "difference": difference(fresh)})
    if not rows:
        return {}
    middles = tuple((row["from_hours"] + row["to_hours"]) / 2 for row in rows)
    aside = ASIDE * (rows[-1]["to_hours"] - rows[0]["from_hours"])  # intervals beside each other
    beside = tuple(middle + aside for middle in middles)
    drawn = [
        _aged("lists as made", [row["stale"] for row in rows], middles, charts.BLUE),
        _aged("made anew each time", [row["fresh"] for row in rows], beside, charts.GREEN),
    ]
    ticks = [rows[0]["from_hours"], *(row["to_hours"] for row in rows)]
    label = f"recall_at_{part['k']}"
    chart = line_charts.lines(drawn, "hours since the lists were made", label, ticks)
    return {"k": part["k"], "rows": rows, "chart": chart}


def nights(rows: Sequence[Row]) -> dict[str, Any]:
    """Users, coverage and recall by night; {} where there is only one to show."""
    if len(rows) < 2:
        return {}
    last = datetime.date.fromisoformat(rows[-1]["date"])
    days = [(datetime.date.fromisoformat(row["date"]) - last).days for row in rows]
    most = max((row["users"] or 0 for row in rows), default=0) or 1
    shares = [{**row, "users": row["users"] and row["users"] / most} for row in rows]
    drawn = []
    for name, (label, colour) in NIGHTLY.items():
        known = [(day, row[name]) for day, row in zip(days, shares, strict=True) if row[name]]
        if known:
            xs, ys = zip(*known, strict=True)
            drawn.append(Line(label, tuple(map(float, xs)), tuple(map(float, ys)), colour))
    step = max(1, -(days[0] // MARKS))
    ticks = [float(day) for day in range(0, days[0] - 1, -step)]
    return {"chart": line_charts.lines(drawn, "days before", "share", ticks) if drawn else ""}


def trade_off(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy against coverage and novelty of every variant; {} where it was not measured."""
    part = evaluation.get("trade_off")
    if not part:
        return {}
    k = part["k"]
    table = {(row["system"], row["metric"]): row for row in part["rows"]}
    names = [f"{name}_at_{k}" for name in ("recall", "coverage", "novelty", "diversity")]
    rows = [
        {
            "label": variant["system"],
            "main": variant["system"] == AS_SET,
            "cells": [table.get((variant["system"], name)) for name in names],
            "difference": difference(table[variant["system"], names[0]]),
        }
        for variant in part["variants"]
    ]
    points = [
        (variant["rule"], variant["value"], [cell["mean"] for cell in row["cells"][:3]])
        for variant, row in zip(part["variants"], rows, strict=True)
        if all(cell and cell["mean"] is not None for cell in row["cells"][:3])
    ]
    if not points:
        return {}
    drawn = {
        names[at]: line_charts.lines(_curves(points, part["as_set"], at), names[at], names[0])
        for at in (1, 2)
    }
    return {"k": k, "names": names, "rows": rows, "charts": drawn}


def _aged(label: str, rows: Sequence[Row], middles: tuple[float, ...], colour: str) -> Line:
    bounds = tuple((row["low"], row["high"]) for row in rows)
    known = all(low is not None and high is not None for low, high in bounds)
    values = tuple(row["mean"] for row in rows)
    return Line(label, middles, values, colour, bounds if known else ())


def _curves(points: Sequence[Point], as_set: Mapping[str, float], at: int) -> list[Line]:
    """A line a rule through the lists as set, from weak to strong, and a star for these."""
    every: dict[str, list[tuple[float, list[float]]]] = {}
    for rule, value, means in points:
        every.setdefault(rule, []).append((value, means))
    own = [means for _, means in every.pop("", [])]
    drawn = []
    for rule, found in every.items():
        joined = found + [(as_set[rule], means) for means in own if rule in as_set]
        strengths = [_strength(rule, value) for value, _ in joined]
        order = sorted(range(len(joined)), key=strengths.__getitem__)
        drawn.append(_line(rule, [joined[place][1] for place in order], at))
    return [*drawn, *(_line(AS_SET, [means], at) for means in own)]


def _strength(rule: str, value: float) -> float:
    """What orders the points of a rule: a smaller cap is a stronger one, but none the weakest."""
    return 1 / value if rule == "category_cap" and value else value


def _line(rule: str, means: Sequence[list[float]], at: int) -> Line:
    xs, ys = tuple(mean[at] for mean in means), tuple(mean[0] for mean in means)
    marker = "*" if rule == AS_SET else "o"
    return Line(rule.replace("_", " "), xs, ys, COLOURS.get(rule, charts.INK), marker=marker)

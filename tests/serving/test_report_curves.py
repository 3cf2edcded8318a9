"""Which numbers of the two extra measurements the report shows, and in which order lines join."""

from typing import Any

import pytest

from recsys.serving import report, report_curves


def row(system: str, metric: str, mean: float | None, more: float | None = None) -> dict[str, Any]:
    bounds = (None, None) if more is None else (more - 0.01, more + 0.01)
    return {
        "system": system, "metric": metric, "mean": mean, "low": mean, "high": mean,
        "difference": more, "difference_low": bounds[0], "difference_high": bounds[1], "users": 9,
    }  # fmt: skip


AGED = {
    "k": 5,
    "spans": [
        {"segment": "hours_0_24", "from_hours": 0.0, "to_hours": 24.0},
        {"segment": "hours_24_48", "from_hours": 24.0, "to_hours": 48.0},
        {"segment": "hours_48_72", "from_hours": 48.0, "to_hours": 72.0},
    ],
    "rows": [
        row("stale", "recall_at_5/hours_0_24", 0.3),
        row("fresh", "recall_at_5/hours_0_24", 0.3, 0.0),
        row("stale", "recall_at_5/hours_24_48", 0.2),
        row("fresh", "recall_at_5/hours_24_48", 0.25, 0.05),
        row("stale", "recall_at_5/hours_48_72", None),
        row("fresh", "recall_at_5/hours_48_72", None, None),
    ],
}
MEANS = {
    "as set": 0.3,
    "cap 5": 0.25,
    "cap 1": 0.1,
    "without popularity": 0.2,
    "popularity x2": 0.15,
}
VARIED = {
    "k": 5,
    "as_set": {"category_cap": 0.0, "popularity": 1.0, "mmr": 0.0},
    "variants": [
        {"system": "as set", "rule": "", "value": 0.0},
        {"system": "cap 1", "rule": "category_cap", "value": 1.0},
        {"system": "cap 5", "rule": "category_cap", "value": 5.0},
        {"system": "popularity x2", "rule": "popularity", "value": 2.0},
        {"system": "without popularity", "rule": "popularity", "value": 0.0},
    ],
    "rows": [
        row(system, metric, mean * factor, None if system == "as set" else mean - 0.3)
        for system, mean in MEANS.items()
        for metric, factor in (("recall_at_5", 1), ("coverage_at_5", 2), ("novelty_at_5", 30))
    ],
}


def test_golden_staleness() -> None:
    shown = report_curves.staleness({"staleness": AGED})
    assert [(r["to_hours"], r["stale"]["mean"], r["fresh"]["mean"]) for r in shown["rows"]] == [
        (24, 0.3, 0.3), (48, 0.2, 0.25),
    ]  # fmt: skip
    assert [r["difference"]["clear"] for r in shown["rows"]] == [False, True]
    assert shown["chart"].startswith("data:image/svg+xml")


def test_golden_trade_off() -> None:
    shown = report_curves.trade_off({"trade_off": VARIED})
    assert [line["label"] for line in shown["rows"]] == [v["system"] for v in VARIED["variants"]]
    assert [line["main"] for line in shown["rows"]] == [True, False, False, False, False]
    assert shown["rows"][1]["cells"][1]["mean"] == pytest.approx(0.2)
    assert shown["rows"][1]["cells"][3] is None  # diversity was not measured
    assert list(shown["charts"]) == ["coverage_at_5", "novelty_at_5"]


def test_lines_join_from_weak_to_strong_through_the_lists_as_set() -> None:
    points = [
        (variant["rule"], variant["value"], [MEANS[variant["system"]], 0.0, 0.0])
        for variant in VARIED["variants"]
    ]
    found = {line.label: line.ys for line in report_curves._curves(points, VARIED["as_set"], 1)}
    assert found == {
        "category cap": (0.3, 0.25, 0.1), "popularity": (0.2, 0.3, 0.15), "as set": (0.3,),
    }  # fmt: skip
    # where the cap of 5 is what is set, it stands between none and 1
    now = {"category_cap": 5.0}
    points = [("", 0.0, [0.3]), ("category_cap", 0.0, [0.4]), ("category_cap", 1.0, [0.1])]
    (line, _) = report_curves._curves(points, now, 0)
    assert line.ys == (0.4, 0.3, 0.1)


def test_what_was_not_asked_for_is_not_shown() -> None:
    nothing: dict[str, Any] = {"rows": []}
    assert report_curves.staleness(nothing) == report_curves.trade_off(nothing) == {}
    page = report.render({"day": "2026-11-20", "release": "r"})
    assert "gets older" not in page
    assert "variety costs" not in page


def test_the_page_shows_both() -> None:
    rows = [row("lists", "recall_at_5", 0.2), row("popular", "recall_at_5", 0.1, -0.1)]
    found = {"facts": {"ks": [5]}, "against": "lists", "users": 9, "rows": rows}
    found |= {"staleness": AGED, "trade_off": VARIED}
    page = report.render({"day": "2026-11-20", "release": "r", "evaluation": found})
    assert "gets older" in page
    assert "variety costs" in page
    assert "without popularity" in page
    assert "+0.0500 *" in page

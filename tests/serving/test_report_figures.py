"""Which numbers of an evaluation the report shows, and in which order."""

from typing import Any

import pytest

from recsys.serving import charts, report_figures


def row(system: str, metric: str, mean: float | None, less: float | None = None) -> dict[str, Any]:
    bounds = (less - 0.01, less + 0.01) if less is not None else (None, None)
    return {
        "system": system, "metric": metric, "mean": mean, "low": None, "high": None,
        "difference": less, "difference_low": bounds[0], "difference_high": bounds[1], "users": 9,
    }  # fmt: skip


def table(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"facts": {"ks": [5]}, "against": "lists", "users": 9, "rows": list(rows)}


FULL = table(
    row("without text", "recall_at_5", 0.19, -0.01),
    row("popular", "recall_at_5", 0.0, -0.2),
    row("ease", "recall_at_5", 0.1, -0.1),
    row("model", "recall_at_5", 0.15, -0.05),
    row("lists", "recall_at_5", 0.2),
    row("lists", "recall_at_5/user_new", 0.3),
    row("ease", "recall_at_5/user_new", None),
    row("lists", "recall_at_5/item_warm", None),
    row("lists", "recall_at_50/user_new", 0.9),
    row("lists", "mrr", 0.4),
)


def test_ours_first_then_baselines_by_recall() -> None:
    shown = report_figures.metrics(FULL)
    assert [line["label"] for line in shown["rows"]] == [
        "Lists, as trained", "Two towers alone", "EASE", "Popular", "Lists without text",
    ]  # fmt: skip
    assert shown["names"] == ["recall_at_5", "mrr"]
    assert shown["hidden"]


def test_headline_takes_the_best_baseline() -> None:
    found = report_figures.headline(FULL)
    assert (found["best_label"], found["ratio"], found["verdict"]) == ("EASE", 2.0, "better")


@pytest.mark.parametrize(
    ("less", "verdict"), [(-0.02, "better"), (0.02, "worse"), (-0.005, "even"), (0.005, "even")]
)
def test_what_the_paired_interval_says(less: float, verdict: str) -> None:
    # baseline less lists, give or take 0.01
    rows = (row("lists", "recall_at_5", 0.2), row("ease", "recall_at_5", 0.1, less))
    assert report_figures.headline(table(*rows))["verdict"] == verdict


def test_segments_of_this_recall_only() -> None:
    (found,) = report_figures.segments(FULL)["rows"]
    assert (found.label, found.ours["mean"], found.other) == ("Users: new", 0.3, None)


def test_shelves_stand_in_the_table_and_not_on_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[charts.Pair] = []
    monkeypatch.setattr(charts, "pairs", lambda pairs, *_: drawn.extend(pairs))
    rows = (*FULL["rows"], row("lists", "recall_at_5/item_new_shelf", 0.97))
    found = report_figures.segments(table(*rows))["rows"]
    assert [one.label for one in found] == ["Users: new", "Items: new shelf"]
    assert [pair.label for pair in drawn] == ["Users: new"]


def test_nothing_was_evaluated() -> None:
    assert report_figures.headline({}) == {}
    assert report_figures.metrics({}) == {}
    assert report_figures.segments({}) == {}
    assert report_figures.course({}) == {}


def test_no_baseline() -> None:
    found = report_figures.headline(table(row("lists", "recall_at_5", 0.2)))
    assert (found["best"], found["ratio"], found["verdict"]) == (None, None, "")


def test_the_kept_epoch() -> None:
    epochs = [{"loss": 3.0, "validation": 0.1}, {"loss": 2.0, "validation": 0.3},
              {"loss": 1.0, "validation": 0.2}]  # fmt: skip
    found = report_figures.course({"epochs": epochs, "best_epoch": 1, "losses": [0.0] * 7})
    assert (found["best"], found["validation"], found["steps"]) == (2, 0.3, 7)

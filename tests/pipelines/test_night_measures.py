"""Numbers of a night that come from the manifests of its parents."""

from typing import Any

import pytest

from pipelines import input_gates, night_measures


def row(system: str, metric: str, mean: float, **more: float) -> dict[str, Any]:
    """A row of an evaluation's table; intervals reach 0.02 to either side."""
    ends = {"low": mean - 0.02, "high": mean + 0.02, "users": 2000}
    return {"system": system, "metric": metric, "mean": mean, **ends, **more}


POPULAR = row("popular", "recall_at_10", 0.05, difference=-0.06, difference_low=-0.08)
TABLE = {
    "facts": {"ks": [10, 20]},
    "rows": [
        row("lists", "recall_at_10", 0.11),
        row("lists", "recall_at_20", 0.15),
        row("lists", "recall_at_10/user_new", 0.06),
        row("lists", "recall_at_10/user_long", 0.08, users=999),
        POPULAR,
    ],
}


def test_rows_of_the_log() -> None:
    fates = {"read": 100, "kept": 90, "quarantined": 2, "duplicate": 5, "filtered": 3}
    log = {"accounting": {"a.csv": fates, "b.csv": fates}, "filtered": {"unknown_item": 4}}
    assert input_gates.of_rows(log) == {
        "rows_read": 200, "quarantine_share": 0.02, "duplicate_share": 0.05,
        "unknown_item_share": 0.02,
    }  # fmt: skip


def test_the_epoch_that_was_kept() -> None:
    epochs = [{"loss": 7.0, "validation": 0.1}, {"loss": 6.0, "validation": 0.2}]
    found = night_measures.of_training({"epochs": epochs, "best_epoch": 0})
    assert found == {"training_loss": 7.0, "validation_recall": 0.1}
    assert night_measures.of_training({}) == {}
    unjudged = {"epochs": [{"loss": 7.0, "validation": None}], "best_epoch": 0}
    assert night_measures.of_training(unjudged) == {"training_loss": 7.0}


def test_recall_of_the_lists_overall_and_by_large_segment() -> None:
    found = night_measures.of_evaluation(TABLE, {})
    assert found == {
        "recall/at_10": 0.11,
        "segment_recall/user_new": 0.06,
        "gain_over_popular/at_10": 0.06,
        "gain_over_popular_high/at_10": 0.08,
    }


def test_a_drop_counts_from_the_upper_end() -> None:
    last = {"recall/at_10": 0.2, "segment_recall/user_new": 0.1, "recall/at_20": 0.3}
    found = night_measures.of_evaluation(TABLE, last)
    assert found["recall_high_over_last/at_10"] == pytest.approx(0.13 / 0.2)
    assert found["segment_recall_high_over_last/user_new"] == pytest.approx(0.08 / 0.1)


def test_the_published_lists_are_those_that_caught_up() -> None:
    table = {**TABLE, "rows": [*TABLE["rows"], row("caught_up", "recall_at_10", 0.14)]}
    assert night_measures.of_evaluation(table, {})["recall/at_10"] == 0.14


def test_no_evaluation() -> None:
    assert night_measures.of_evaluation({}, {"recall/at_10": 0.2}) == {}

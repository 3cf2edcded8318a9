"""The table as text, frame and JSON."""

import pytest

from recsys.errors import UsageFault
from recsys.evaluation.significance import Interval
from recsys.evaluation.table import Cell, EvaluationTable

NAN = float("nan")


def golden() -> EvaluationTable:
    metrics = ("recall_at_10", "recall_at_10/item_new", "gini_at_10")
    cells = {
        ("popular", "recall_at_10"): Cell(Interval(0.1, 0.08, 0.12, 50), None),
        ("popular", "recall_at_10/item_new"): Cell(Interval(NAN, NAN, NAN, 0), None),
        ("popular", "gini_at_10"): Cell(Interval(0.9, NAN, NAN, 60), None),
        ("model", "recall_at_10"): Cell(
            Interval(0.2, 0.17, 0.23, 50), Interval(0.1, 0.06, 0.14, 50)
        ),
        ("model", "recall_at_10/item_new"): Cell(
            Interval(0.05, 0.0, 0.1, 9), Interval(NAN, NAN, NAN, 0)
        ),
        ("model", "gini_at_10"): Cell(Interval(0.5, NAN, NAN, 60), None),
    }
    return EvaluationTable(("popular", "model"), metrics, "popular", 60, 0.95, cells)


def test_golden_text() -> None:
    assert golden().to_text() == (
        "60 users; means with 95% intervals; differences to popular, paired by user,"
        " * where they exclude 0\n"
        "\n"
        "             recall_at_10                gini_at_10\n"
        "popular      0.1000 [0.0800 0.1200]      0.9000\n"
        "model        0.2000 [0.1700 0.2300]      0.5000\n"
        "  - popular  +0.1000 [+0.0600 +0.1400]*\n"
    )


def test_columns_that_do_not_fit_go_below() -> None:
    text = golden().to_text(width=45)
    assert max(map(len, text.split("\n\n", 1)[1].splitlines())) <= 45
    assert text.count("  - popular") == 2


def test_segments_on_request() -> None:
    lines = golden().to_text(["recall_at_10/item_new"]).splitlines()
    assert lines[3] == "popular      -"
    assert lines[4] == "model        0.0500 [0.0000 0.1000]"


def test_frame_and_dict() -> None:
    frame = golden().to_frame()
    assert frame.shape == (6, 9)
    row = frame.row(3, named=True)
    assert (row["system"], row["metric"], row["users"]) == ("model", "recall_at_10", 50)
    assert (row["mean"], row["difference"], row["difference_low"]) == (0.2, 0.1, 0.06)
    assert frame["mean"].null_count() == 1
    assert golden().to_dict()["against"] == "popular"


def test_unknown_cells_are_refused() -> None:
    with pytest.raises(UsageFault, match="no such cell"):
        golden().mean("model", "recall_at_99")

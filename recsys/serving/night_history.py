"""The last nights in a few numbers each, for the report: handed on from release to release.

A release's manifest holds the rows of the nights before it, so that the history is longer than the
releases that are kept, and the same release has the same history. A night without a row published
nothing: it was refused, failed, or did not run. Called by the night.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

NIGHTS = 30
Row = dict[str, Any]


def row(
    date: str, counts: Mapping[str, int], measures: Mapping[str, float],
    gates: Sequence[Mapping[str, Any]],
) -> Row:  # fmt: skip
    """A night's row: users, coverage, recall and gates, None for what was not measured.

    Args:
        date: YYYY-MM-DD.
        counts, measures: of the night, as in its manifest.
        gates: its table.
    """
    recall = next((name for name in sorted(measures) if name.startswith("recall/")), "")
    verdicts = Counter(gate["verdict"] for gate in gates)
    return {
        "date": date,
        "users": counts.get("users"),
        "users_popular": counts.get("users_popular"),
        "events": measures.get("events"),
        "coverage": measures.get("coverage"),
        "recall": measures.get(recall),
        "passed": verdicts["pass"],
        "warned": verdicts["warn"],
    }


def with_tonight(before: Mapping[str, Any], tonight: Row) -> list[Row]:
    """The rows of the last nights, oldest first, tonight's at the end.

    Args:
        before: manifest of the last good release; empty for none.
        tonight: its row.
    """
    rows = list(before.get("history", []))
    if before and not rows:  # a release of before there was a history
        parts = (before.get("counts", {}), before.get("measures", {}), before.get("gates", []))
        rows = [row(str(before["date"]), *parts)]
    return [*(one for one in rows if one["date"] < tonight["date"]), tonight][-NIGHTS:]

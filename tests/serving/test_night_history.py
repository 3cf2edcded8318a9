"""The history of the nights: one row a day, handed on, thirty at most, drawn in the report."""

import datetime
from typing import Any

from recsys.serving import night_history, report

GATES = [{"verdict": "pass"}, {"verdict": "pass"}, {"verdict": "warn"}, {"verdict": "off"}]


def night(number: int) -> dict[str, Any]:
    date = datetime.date(2026, 1, 1) + datetime.timedelta(days=number)
    measures = {"coverage": 0.5, "recall/at_10": number / 1000, "recall/at_20": 0.9}
    return night_history.row(str(date), {"users": 100 + number}, measures, GATES)


def test_a_row_is_a_night() -> None:
    row = night(5)
    assert (row["date"], row["users"], row["recall"]) == ("2026-01-06", 105, 0.005)
    assert (row["passed"], row["warned"], row["events"]) == (2, 1, None)


def test_thirty_nights_are_handed_on() -> None:
    manifest: dict[str, Any] = {}
    for number in range(40):
        manifest = {"history": night_history.with_tonight(manifest, night(number))}
    dates = [row["date"] for row in manifest["history"]]
    assert (len(dates), dates[0], dates[-1]) == (30, "2026-01-11", "2026-02-09")


def test_a_day_made_again_has_one_row() -> None:
    rows = night_history.with_tonight({"history": [night(1), night(2)]}, night(2))
    assert [row["date"] for row in rows] == ["2026-01-02", "2026-01-03"]


def test_a_release_without_a_history_is_its_beginning() -> None:
    old = {"date": "2026-01-01", "counts": {"users": 7}, "measures": {"coverage": 0.25}}
    rows = night_history.with_tonight(old, night(3))
    assert [(row["date"], row["users"]) for row in rows] == [("2026-01-01", 7), ("2026-01-04", 103)]


def test_the_report_shows_the_nights() -> None:
    page = {"day": "2026-01-04", "release": "r", "history": [night(0), night(1), night(3)]}
    html = report.render(page)
    assert "Last nights" in html
    assert html.index("2026-01-04</td>") < html.index("2026-01-01</td>")  # the newest first
    assert "1 warned" in html
    assert "50.0 %" in html
    assert report.render(page) == html
    assert "Last nights" not in report.render({"day": "d", "release": "r", "history": [night(0)]})

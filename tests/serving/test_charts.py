"""Charts are well-formed SVG without scripts, times or outside addresses, the same every time."""

import base64
import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from recsys.serving import charts, line_charts
from recsys.serving.charts import Bar, Pair
from recsys.serving.line_charts import Line

BARS = [
    Bar("ours", 0.2, 0.1, 0.3, charts.BLUE),
    Bar("<b>&theirs $\\bad$ \x1b", 0.0, None, None, charts.GREY),
]
CHARTS = {
    "bars": lambda: charts.bars(BARS, "recall"),
    "one bar of zero": lambda: charts.bars(BARS[1:], "recall"),
    "pairs": lambda: charts.pairs(
        [Pair("new", BARS[0], BARS[1]), Pair("old", BARS[1], None)], "recall", ("a", "b")
    ),
    "training": lambda: charts.training([3.0, 2.0], [0.1, 0.2], 1, "recall"),
    "lines": lambda: line_charts.lines(
        [
            Line("<ours> $\\bad$", (12.0, 36.0), (0.2, 0.1), charts.BLUE, ((0.1, 0.3), (0.1, 0.2))),
            Line("a point", (20.0,), (0.0,), charts.INK, marker="*"),
        ],
        "hours",
        "recall",
        (0, 24, 48),
    ),
    "one epoch": lambda: charts.training([3.0], [0.1], 0, "recall"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts(name: str) -> None:
    before = dict(mpl.rcParams)
    address = CHARTS[name]()
    assert address == CHARTS[name]()
    assert dict(mpl.rcParams) == before
    text = base64.b64decode(address.removeprefix("data:image/svg+xml;base64,")).decode()
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
    assert tags <= {"svg", "defs", "style", "g", "path", "use", "clipPath", "rect", "metadata",
                    "RDF", "Work", "type", "creator", "Agent", "title", "format"}  # fmt: skip
    assert not re.search(r"20\d\d-\d\d-\d\d|<script|href=\"http", text)


def test_other_numbers_are_another_chart() -> None:
    assert charts.bars(BARS, "recall") != charts.bars(BARS[:1], "recall")

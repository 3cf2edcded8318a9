"""Charts of the report as `data:` addresses of SVG: the same numbers give the same bytes.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers too; every chart's
numbers also stand in a table of the page.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from recsys.errors import escaped

BLUE, SKY, GREEN, ORANGE, VERMILION = "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00"
GREY, INK, LINE = "#a3adb8", "#26323e", "#e3e8ed"
WIDTH_INCHES = 4.6  # shown 600 pixels wide, and 340 on a phone, where letters must stay readable
STYLE: dict[str, Any] = {
    "svg.hashsalt": "recsys",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": LINE,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Bar:
    """A value with its interval; low and high are None where there is none."""

    label: str
    value: float
    low: float | None
    high: float | None
    colour: str


@dataclass(frozen=True)
class Pair:
    """One segment: ours and the best baseline; the latter None where it was not judged."""

    label: str
    ours: Bar
    other: Bar | None


def bars(rows: Sequence[Bar], label: str) -> str:
    """Horizontal bars with error bars, first row on top.

    Args:
        rows: at least one.
        label: of the axis.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 0.36 * len(rows) + 0.7))
        axes = figure.add_subplot()
        places = range(len(rows))
        axes.barh(places, [r.value for r in rows], color=[r.colour for r in rows], height=0.66)
        _intervals(axes, rows, list(places))
        right = max([1e-9, *(x for row in rows for x in _reach(row))])
        for place, row in zip(places, rows, strict=True):
            axes.text(
                max(_reach(row)) + right * 0.02, place, f"{row.value:.4f}", va="center", fontsize=9
            )
        axes.set_yticks(list(places), [escaped(r.label) for r in rows])
        axes.set_xlim(0, right * 1.16)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(label)
        return address(figure)


def pairs(rows: Sequence[Pair], label: str, names: tuple[str, str]) -> str:
    """Ours beside the best baseline in every segment, dots with intervals, first row on top.

    Args:
        rows: at least one.
        label: of the axis.
        names: of the two in the legend.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 0.42 * len(rows) + 1.1))
        axes = figure.add_subplot()
        places = [float(place) for place in range(len(rows))]
        sides: tuple[tuple[list[Bar | None], float, str], ...] = (
            ([row.ours for row in rows], -0.13, "o"),
            ([row.other for row in rows], 0.13, "D"),
        )
        for name, (side, shift, marker) in zip(names, sides, strict=True):
            shown = [(bar, p + shift) for bar, p in zip(side, places, strict=True) if bar]
            if not shown:
                continue
            some = [bar for bar, _ in shown]
            _intervals(axes, some, [p for _, p in shown], colour=some[0].colour)
            axes.plot(
                [bar.value for bar in some], [p for _, p in shown], marker, label=name,
                color=some[0].colour, markersize=6.5 if marker == "o" else 5.5,
                markeredgecolor="white", markeredgewidth=0.7, zorder=4,
            )  # fmt: skip
        axes.set_yticks(places, [escaped(row.label) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        edges = [x for row in rows for bar in (row.ours, row.other) if bar for x in _reach(bar)]
        axes.set_xlim(-0.02 * (max(edges) or 1.0), (max(edges) or 1.0) * 1.05)
        axes.set_xlabel(label)
        figure.legend(loc="outside upper left", ncols=2, fontsize=9, handletextpad=0.2)
        return address(figure)


def training(losses: Sequence[float], validation: Sequence[float], best: int, label: str) -> str:
    """Loss of every epoch, and validation below it with the best epoch marked.

    Args:
        losses: mean loss of each epoch, at least one.
        validation: metric after each epoch, as many.
        best: index of the epoch that was kept.
        label: of the validation metric.
    """
    epochs = range(1, len(losses) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 4.2))
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.plot(epochs, losses, "-o", color=BLUE, markersize=3.5, linewidth=1.6)
        upper.set_ylabel("training loss")
        lower.plot(epochs, validation, "-o", color=GREEN, markersize=3.5, linewidth=1.6)
        lower.plot(
            [best + 1], [validation[best]], "o", markersize=10, markerfacecolor="none",
            markeredgecolor=VERMILION, markeredgewidth=1.8,
        )  # fmt: skip
        lower.axvline(best + 1, color=VERMILION, linewidth=1, linestyle=":", zorder=1)
        lower.annotate(
            f"kept: epoch {best + 1}", (best + 1, min(validation)), xytext=(-6, 4),
            textcoords="offset points", ha="right" if best > len(losses) / 2 else "left",
            fontsize=9, color=VERMILION,
        )  # fmt: skip
        lower.set_ylabel(label)
        lower.set_xlabel("epoch")
        lower.xaxis.get_major_locator().set_params(integer=True)
        return address(figure)


def _reach(bar: Bar) -> tuple[float, ...]:
    return (bar.value,) if bar.high is None else (bar.value, bar.high)


def _intervals(axes: Any, rows: Sequence[Bar], places: Sequence[float], colour: str = INK) -> None:
    known = [
        (row.low, row.high, row.value, place)
        for row, place in zip(rows, places, strict=True)
        if row.low is not None and row.high is not None
    ]
    if known:
        axes.errorbar(
            [value for _, _, value, _ in known], [place for *_, place in known],
            xerr=[
                [max(0.0, value - low) for low, _, value, _ in known],
                [max(0.0, high - value) for _, high, value, _ in known],
            ],
            fmt="none", ecolor=colour, elinewidth=1.4, capsize=2.5, capthick=1.4, zorder=3,
        )  # fmt: skip


def address(figure: Figure) -> str:
    """A figure as the `data:` address of its SVG."""
    stream = io.BytesIO()
    plain = {"Date": None, "Creator": None}  # a time would make equal inputs unequal bytes
    figure.savefig(stream, format="svg", transparent=True, metadata=plain)
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"data:image/svg+xml;base64,{text}"

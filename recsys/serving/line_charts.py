"""Line charts of the report: what changes with age, and what is gained for what is given up.

As `charts`: `data:` addresses of SVG, the same bytes for the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from recsys.errors import escaped
from recsys.serving import charts


@dataclass(frozen=True)
class Line:
    """Points that belong together; a single one is only a mark.

    Attributes:
        label: in the legend.
        xs, ys: `[P]`, in the order in which they are joined.
        colour: of the line.
        bounds: `[P]` low and high of each y; empty for none.
        marker: as matplotlib names it.
    """

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    colour: str
    bounds: tuple[tuple[float, float], ...] = ()
    marker: str = "o"


def lines(every: Sequence[Line], x_label: str, y_label: str, ticks: Sequence[float] = ()) -> str:
    """Lines in one frame, the last drawn on top.

    Args:
        every: at least one.
        x_label: of the lower axis.
        y_label: of the left axis.
        ticks: of the lower axis; empty to let them be chosen.
    """
    with mpl.rc_context(charts.STYLE):
        figure = Figure(figsize=(charts.WIDTH_INCHES, 3.7))
        axes = figure.add_subplot()
        for line in every:
            if line.bounds:
                pairs = list(zip(line.ys, line.bounds, strict=True))
                axes.errorbar(
                    line.xs, line.ys, fmt="none", ecolor=line.colour, elinewidth=1.2, capsize=2.5,
                    yerr=[
                        [max(0.0, y - low) for y, (low, _) in pairs],
                        [max(0.0, high - y) for y, (_, high) in pairs],
                    ],
                )  # fmt: skip
            axes.plot(
                line.xs, line.ys, f"-{line.marker}", color=line.colour, label=escaped(line.label),
                linewidth=1.6, markersize=11 if line.marker == "*" else 5, markeredgecolor="white",
                markeredgewidth=0.6,
            )  # fmt: skip
        if ticks:
            axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        figure.legend(loc="outside upper left", ncols=3, fontsize=8.5, handletextpad=0.4)
        return charts.address(figure)

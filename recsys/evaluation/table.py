"""Systems beside each other: means with intervals, and paired differences to one of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recsys.errors import UsageFault
from recsys.evaluation.significance import Interval


@dataclass(frozen=True)
class Cell:
    """One metric of one system.

    Attributes:
        value: the mean and its interval; low and high are NaN for metrics of all lists together.
        difference: to the reference system, paired by user; None where there is none.
    """

    value: Interval
    difference: Interval | None


@dataclass(frozen=True)
class EvaluationTable:
    """Rows are systems, columns are metrics.

    Attributes:
        systems: in the order of the rows.
        metrics: in the order of the columns; `metric/segment` for segments.
        against: the system that differences are taken to.
        users: users judged, with or without relevant items.
        level: of the intervals.
        cells: by (system, metric).
    """

    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    against: str
    users: int
    level: float
    cells: dict[tuple[str, str], Cell]

    def mean(self, system: str, metric: str) -> float:
        """The mean of one metric, for logs and gates.

        Raises:
            UsageFault: the table has no such system or metric.
        """
        return self.cell(system, metric).value.mean

    def cell(self, system: str, metric: str) -> Cell:
        """One cell.

        Raises:
            UsageFault: the table has no such system or metric.
        """
        if (system, metric) not in self.cells:
            raise UsageFault(
                "the evaluation table has no such cell",
                value=f"{system}, {metric}",
                where="evaluation",
                fix=f"systems: {', '.join(self.systems)}; metrics: {', '.join(self.metrics)}",
            )
        return self.cells[system, metric]

    def to_frame(self) -> pl.DataFrame:
        """One row per system and metric; differences are null for the reference system."""
        numbers = ("mean", "low", "high", "difference", "difference_low", "difference_high")
        types: dict[str, type[pl.DataType]] = {"system": pl.String, "metric": pl.String}
        types |= dict.fromkeys(numbers, pl.Float64)
        return pl.DataFrame(self._records(), schema={**types, "users": pl.Int64})

    def to_dict(self) -> dict[str, object]:
        """For `json.dumps`: plain values, null where there is no number."""
        return {"against": self.against, "users": self.users, "rows": self._records()}

    def to_text(self, metrics: Sequence[str] | None = None, width: int = 100) -> str:
        """For a terminal: a line per system, below it the difference, `*` where it excludes zero.

        Args:
            metrics: columns; None for all that are not of a segment.
            width: characters per line; columns that do not fit go into a further block.

        Raises:
            UsageFault: the table has no such metric.
        """
        chosen = [m for m in self.metrics if "/" not in m] if metrics is None else list(metrics)
        labels = ["", *(line for s in self.systems for line in self._labels(s))]
        columns = [
            padded([m, *(x for s in self.systems for x in self._lines(s, m))]) for m in chosen
        ]
        blocks, left = [], padded(labels)
        for group in fitting(columns, width - len(left[0])):
            rows = zip(left, *group, strict=True)
            blocks.append("\n".join("  ".join(row).rstrip() for row in rows))
        head = f"{self.users:,} users; means with {self.level:.0%} intervals"
        if len(self.systems) > 1:
            head += f"; differences to {self.against}, paired by user, * where they exclude 0"
        return "\n\n".join([head, *blocks]) + "\n"

    def _labels(self, system: str) -> list[str]:
        return [system] if system == self.against else [system, f"  - {self.against}"]

    def _lines(self, system: str, metric: str) -> list[str]:
        cell = self.cell(system, metric)
        lines = [shown(cell.value, "")]
        if system != self.against:
            lines.append(shown(cell.difference, "+") if cell.difference else "")
        return lines

    def _records(self) -> list[dict[str, object]]:
        empty = Interval(math.nan, math.nan, math.nan, 0)
        records: list[dict[str, object]] = []
        for system in self.systems:
            for metric in self.metrics:
                cell = self.cell(system, metric)
                difference = cell.difference or empty
                records.append({
                    "system": system,
                    "metric": metric,
                    "mean": number(cell.value.mean),
                    "low": number(cell.value.low),
                    "high": number(cell.value.high),
                    "difference": number(difference.mean),
                    "difference_low": number(difference.low),
                    "difference_high": number(difference.high),
                    "users": cell.value.users,
                })  # fmt: skip
        return records


def number(value: float) -> float | None:
    """`value`, or None for NaN: JSON has no NaN."""
    return None if math.isnan(value) else value


def shown(interval: Interval, sign: str) -> str:
    """Four digits: `0.2510 [0.2402 0.2618]`; differences carry a sign, and `*` off zero."""
    if math.isnan(interval.mean):
        return "-"
    if math.isnan(interval.low):
        return f"{interval.mean:{sign}.4f}"
    star = "*" if sign and interval.excludes_zero() else ""
    return f"{interval.mean:{sign}.4f} [{interval.low:{sign}.4f} {interval.high:{sign}.4f}]{star}"


def padded(cells: list[str]) -> list[str]:
    """All of one width, left aligned."""
    width = max(map(len, cells))
    return [cell.ljust(width) for cell in cells]


def fitting(columns: list[list[str]], width: int) -> list[list[list[str]]]:
    """Consecutive columns in groups that fit into `width`; at least one column a group."""
    groups: list[list[list[str]]] = []
    used = width + 1
    for column in columns:
        needed = len(column[0]) + 2
        if used + needed > width:
            groups.append([])
            used = 0
        groups[-1].append(column)
        used += needed
    return groups

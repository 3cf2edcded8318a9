"""Where every row of an import went, and whether too many were refused."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from recsys.data.importers.plan import Refused
from recsys.errors import InputFault, escaped, shown

EXAMPLES = 3


@dataclass
class Account:
    """The rows of one file: read = kept + refused.

    Attributes:
        file: its name.
        table: of ours, that its rows went into.
        kept: rows that are there.
        reasons: refused rows by reason.
        examples: lines on the first refused rows and lost cells, by reason.
        lost: cells without a value, by reason, in rows that are kept.
        written: cells that hold something, by the reason for which some may be lost.
    """

    file: str
    table: str
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    lost: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """Rows that are not there."""
        return self.reasons.total()

    @property
    def read(self) -> int:
        """Rows that the file holds, blank lines aside."""
        return self.kept + self.refused

    def refuse(self, rows: Iterable[Refused]) -> None:
        """Counts refused rows and keeps the first ones of each reason as examples."""
        for row in rows:
            self._count(row, self.reasons)

    def lose(self, cells: Iterable[Refused], reason: str, written: int) -> None:
        """Counts cells lost for one reason, of `written` that hold something."""
        self.written[reason] += written
        for cell in cells:
            self._count(cell, self.lost)

    def _count(self, found: Refused, counts: Counter[str]) -> None:
        row, column, why, value = found
        reason = f"{column} {why}".strip()
        counts[reason] += 1
        if counts[reason] <= EXAMPLES:
            line = f"{self.file}:{row}:{escaped(column)}: {why} ({shown(value)})"
            self.examples[reason].append(line)

    def check(self, most: float) -> None:
        """Refuses the file where more than the share `most` of its rows cannot be used.

        Raises:
            InputFault: the first refused rows are named; or most cells of a column are lost,
                which is no matter of single cells.
        """
        for reason, count in self.lost.items():
            if 2 * count > self.written[reason]:
                raise InputFault(
                    f"{count:,} of {self.written[reason]:,} cells cannot be read: {reason}",
                    where="; ".join(self.examples[reason]),
                    fix="name how they are written, or leave the column out of the mapping",
                )
        if self.refused > most * self.read:
            raise InputFault(
                f"{self.refused:,} of {self.read:,} rows cannot be used; allowed are {most:.2%}",
                where="; ".join([line for lines in self.examples.values() for line in lines][:3]),
                fix="is it another file or version, or written otherwise than is said of it? Mend "
                "that, or the rows, or raise data.quarantine_fail",
            )

    def lines(self) -> list[str]:
        """The account for a person."""
        total = f"{self.read:,} read = {self.kept:,} kept + {self.refused:,} refused"
        lines = [f"{self.file} -> {self.table}: {total}"]
        for counts, then in ((self.reasons, ""), (self.lost, ": left blank")):
            for reason, count in counts.most_common():
                lines += [
                    f"  {count:,} {reason}{then}",
                    *map("    {}".format, self.examples[reason]),
                ]
        return lines

    def facts(self) -> dict[str, Any]:
        """The account for a machine."""
        counts = {"read": self.read, "kept": self.kept, "refused": self.refused}
        why = {"reasons": dict(self.reasons), "lost": dict(self.lost)}
        return {"file": self.file, "table": self.table, **counts, **why}

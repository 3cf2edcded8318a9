"""Where every row of an import went, and whether too many were refused."""

from collections import Counter
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
        examples: lines on the first refused rows of each reason.
    """

    file: str
    table: str
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

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
        for row, column, why, value in rows:
            reason = f"{column} {why}".strip()
            self.reasons[reason] += 1
            if self.reasons[reason] <= EXAMPLES:
                self.examples.append(f"{self.file}:{row}:{escaped(column)}: {why} ({shown(value)})")

    def check(self, most: float) -> None:
        """Refuses the file where more than the share `most` of its rows cannot be used.

        Raises:
            InputFault: the first refused rows are named.
        """
        if self.refused > most * self.read:
            raise InputFault(
                f"{self.refused:,} of {self.read:,} rows cannot be used; allowed are {most:.2%}",
                where="; ".join(self.examples[:3]),
                fix="is it another file or version? Mend the rows, or raise data.quarantine_fail",
            )

    def lines(self) -> list[str]:
        """The account for a person."""
        total = f"{self.read:,} read = {self.kept:,} kept + {self.refused:,} refused"
        reasons = [f"  {count:,} {reason}" for reason, count in self.reasons.most_common()]
        return [
            f"{self.file} -> {self.table}: {total}",
            *reasons,
            *map("    {}".format, self.examples),
        ]

    def facts(self) -> dict[str, Any]:
        """The account for a machine."""
        counts = {"read": self.read, "kept": self.kept, "refused": self.refused}
        return {"file": self.file, "table": self.table, **counts, "reasons": dict(self.reasons)}

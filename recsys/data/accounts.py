"""Where every row of the log went: kept, quarantined, duplicate or filtered.

`interactions` counts bucket after bucket; `buckets` publishes the account beside the rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from recsys.data.event_files import Part

ORDER = ("user_id", "timestamp", "sequence")
SAME = ("user_id", "item_id", "timestamp", "event")
FATES = ("kept", "quarantined", "duplicate", "filtered")
EXAMPLES = 5


@dataclass(frozen=True)
class Account:
    """The account of every row.

    Attributes:
        quarantine: rows that cannot be used, as `faults.SCHEMA`.
        accounting: file -> read, kept, quarantined, duplicate, filtered, blank, and `verified`
            (1 where the producer's manifest confirms the file's sha256, 0 where none speaks of it).
        filtered: how many rows were left out for which reason.
        warnings: what a person should look at.
        integer_ids: which of user_id, item_id are whole numbers outside.
    """

    quarantine: pl.DataFrame
    accounting: dict[str, dict[str, int]]
    filtered: dict[str, int]
    warnings: list[str]
    integer_ids: frozenset[str]


@dataclass(frozen=True)
class Tally:
    """What became of the usable rows of a bucket, or of several.

    Attributes:
        fates: fate -> rows by the file's number.
        reasons: why rows were left out.
        unknown: item outside the catalogue -> the first row's sequence, of some of each bucket.
    """

    fates: dict[str, Counter[int]] = field(
        default_factory=lambda: {fate: Counter[int]() for fate in FATES}
    )
    reasons: Counter[str] = field(default_factory=Counter[str])
    unknown: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, other: "Tally") -> None:
        """Counts those of another bucket too."""
        for fate, rows in other.fates.items():
            self.fates[fate].update(rows)
        self.reasons.update(other.reasons)
        for item, place in other.unknown.items():
            self.unknown[item] = min(place, self.unknown.get(item, place))

    def kept(self, every: pl.DataFrame) -> pl.DataFrame:
        """The rows of a bucket that stay, sorted; all are counted."""
        usable = every.filter(pl.col("reason").is_null())
        kept = usable.filter(pl.struct(SAME).is_first_distinct())
        goods, usables, kepts = (
            Counter(dict(frame["file"].value_counts().iter_rows()))
            for frame in (every, usable, kept)
        )
        self.fates["kept"].update(kepts)
        self.fates["duplicate"].update(usables - kepts)
        self.fates["filtered"].update(goods - usables)
        self.reasons.update(dict(every["reason"].drop_nulls().value_counts().iter_rows()))
        unknown = every.filter(pl.col("reason") == "unknown_item").select("item_id", "sequence")
        # the first of all are among the first of each bucket
        first = unknown.group_by("item_id").min().bottom_k(EXAMPLES, by="sequence")
        for item, place in first.iter_rows():
            self.unknown[item] = min(place, self.unknown.get(item, place))
        return kept.drop("file", "reason").sort(ORDER)


def of_files(
    parts: Sequence[Part], tally: Tally, verified: Sequence[bool]
) -> dict[str, dict[str, int]]:
    """Where each file's rows went; they must add up."""
    accounts = {}
    for number, (part, sure) in enumerate(zip(parts, verified, strict=True)):
        account = {
            "read": part.read,
            "kept": tally.fates["kept"][number],
            "quarantined": part.bad.height,
            "duplicate": tally.fates["duplicate"][number],
            "filtered": tally.fates["filtered"][number] + part.erased,
        }
        if part.read != sum(account[name] for name in FATES):
            raise RuntimeError(f"{part.file}: rows do not add up: {account}")
        accounts[part.file] = {**account, "blank": part.blank, "verified": int(sure)}
    return accounts

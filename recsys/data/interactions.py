"""From logs to cleaned interactions: every row read is kept, quarantined, duplicate or filtered.

Called by the ingest and check stages; `buckets` writes what comes out.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data import faults, schemas, tables, uploads
from recsys.data.erasure import NOBODY, Erased
from recsys.data.event_files import Keeper, Part
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, shown

TABLE = "interactions"
ORDER = ("user_id", "timestamp", "sequence")
SAME = ("user_id", "item_id", "timestamp", "event")
FATES = ("kept", "quarantined", "duplicate", "filtered")


@dataclass(frozen=True)
class Ingested:
    """Cleaned interactions and the account of every row.

    Attributes:
        frame: user_id, item_id, timestamp (UTC), event, weight, sequence and the extra columns,
            sorted by (user_id, timestamp, sequence).
        quarantine: rows that cannot be used, as `faults.SCHEMA`.
        accounting: file -> read, kept, quarantined, duplicate, filtered, blank, and `verified`
            (1 where the producer's manifest confirms the file's sha256, 0 where none speaks of it).
        filtered: how many rows were left out for which reason.
        warnings: what a person should look at.
        integer_ids: which of user_id, item_id are whole numbers outside.
    """

    frame: pl.DataFrame
    quarantine: pl.DataFrame
    accounting: dict[str, dict[str, int]]
    filtered: dict[str, int]
    warnings: list[str]
    integer_ids: frozenset[str]


def ingest(
    settings: DataSettings,
    known_items: pl.Series | set[str] | None,
    now_seconds: float,
    erased: Erased = NOBODY,
    parts_folder: Path | None = None,
) -> Ingested:
    """Reads, checks and cleans all interactions of the dataset folder.

    Args:
        settings: the dataset folder and its rules.
        known_items: ids of the catalogue; rows on other items are filtered. None keeps them all.
        now_seconds: the present (not the day a list is for), epoch seconds.
        erased: users and items whose rows are filtered, refused ones too.
        parts_folder: keeps what each file came to, so that unchanged ones are not read again: the
            result is the same with and without it. None keeps nothing.

    Raises:
        InputFault: no interactions, a file that cannot be trusted as a whole, more bad rows or
            more unknown items than the settings allow.
    """
    paths, verified = _files(settings)
    keeper = Keeper(settings, now_seconds, erased, parts_folder)
    parts = [keeper.part(path) for path in paths]
    for part in parts:
        schemas.compare(parts[0].shape, part.shape)
    quarantine = faults.together([part.bad for part in parts])
    read = sum(part.read for part in parts)
    warnings = _noticed(parts) + faults.budget(
        quarantine, read, settings.quarantine_warn, settings.quarantine_fail, TABLE
    )
    every = _with_reasons(_numbered(parts), known_items, settings)
    warnings += _unknown_items(every, settings)
    usable = every.filter(pl.col("reason").is_null())
    kept = usable.filter(pl.struct(SAME).is_first_distinct())
    if kept.is_empty():
        warnings.append(f"{TABLE}: 0 events are left of {read:,} rows")
    reasons = dict(every["reason"].drop_nulls().value_counts(sort=True).iter_rows())
    if erased_rows := sum(part.erased for part in parts):
        reasons["erased"] = erased_rows
    keeper.forget_others()
    return Ingested(
        frame=kept.drop("file", "reason").sort(ORDER),
        quarantine=quarantine,
        accounting=_accounting(parts, every, usable, kept, verified),
        filtered=reasons,
        warnings=warnings,
        integer_ids=_integer_ids(parts),
    )


def _integer_ids(parts: list[Part]) -> frozenset[str]:
    kinds = [part.integer_ids for part in parts if part.read]
    return frozenset.intersection(*kinds) if kinds else frozenset()


def _files(settings: DataSettings) -> tuple[list[Path], list[bool]]:
    """The files, and whether the producer's manifest confirms each."""
    folder = Path(settings.folder)
    paths = tables.find(folder, TABLE)
    listed = uploads.manifest(settings)
    uploads.check_complete(TABLE, paths, settings, listed)
    if not paths:
        raise tables.absent(folder, TABLE)
    return paths, [uploads.verify(path, settings, listed) for path in paths]


def _numbered(parts: list[Part]) -> pl.DataFrame:
    """All usable rows with `sequence`, which goes through all files, and the number of the file."""
    frames, behind = [], 0  # sequence numbers used by the files before
    for number, part in enumerate(parts):
        place = pl.col("row") + behind
        frame = part.good.with_columns(sequence=place, file=pl.lit(number, pl.Int32))
        frames.append(frame.drop("row"))
        behind += part.read + part.blank + 1
    return pl.concat(frames)


def _with_reasons(
    frame: pl.DataFrame,
    known_items: pl.Series | set[str] | None,
    settings: DataSettings,
) -> pl.DataFrame:
    """Adds `reason`: why a usable row is left out all the same; null where it stays."""
    unknown, small = pl.lit(False), pl.lit(False)
    if known_items is not None:
        known = pl.Series(sorted(known_items), dtype=pl.String)
        unknown = ~pl.col("item_id").is_in(known.implode())
    if settings.min_weight is not None:
        small = pl.col("weight") < settings.min_weight
    return frame.with_columns(
        reason=pl.when(unknown)
        .then(pl.lit("unknown_item"))
        .when(small)
        .then(pl.lit("small_weight"))
    )


def _unknown_items(every: pl.DataFrame, settings: DataSettings) -> list[str]:
    """Warns of rows on items outside the catalogue, or refuses so many of them."""
    unknown = every.filter(pl.col("reason") == "unknown_item")["item_id"]
    share = unknown.len() / every.height if every.height else 0.0
    examples = ", ".join(shown(item) for item in unknown.unique(maintain_order=True).head(5))
    counts = f"{unknown.len():,} of {every.height:,} rows ({share:.2%})"
    text = f"{counts} are on items outside the catalogue"
    if share > settings.unknown_items_fail:
        raise InputFault(
            f"{text}; allowed are {settings.unknown_items_fail:.2%}",
            value=examples, where=TABLE,
            fix="complete the catalogue, or raise data.unknown_items_fail",
        )  # fmt: skip
    return [f"{TABLE}: {text}: {examples}"] if share > settings.unknown_items_warn else []


def _accounting(
    parts: list[Part],
    every: pl.DataFrame,
    usable: pl.DataFrame,
    kept: pl.DataFrame,
    verified: list[bool],
) -> dict[str, dict[str, int]]:
    """Where each file's rows went; they must add up."""
    goods, usables, kepts = (
        dict(frame["file"].value_counts().iter_rows()) for frame in (every, usable, kept)
    )
    accounts = {}
    for number, (part, sure) in enumerate(zip(parts, verified, strict=True)):
        account = {
            "read": part.read,
            "kept": kepts.get(number, 0),
            "quarantined": part.bad.height,
            "duplicate": usables.get(number, 0) - kepts.get(number, 0),
            "filtered": goods.get(number, 0) - usables.get(number, 0) + part.erased,
        }
        if part.read != sum(account[name] for name in FATES):
            raise RuntimeError(f"{part.file}: rows do not add up: {account}")
        accounts[part.file] = {**account, "blank": part.blank, "verified": int(sure)}
    return accounts


def _noticed(parts: list[Part]) -> list[str]:
    """What the readers noticed, each once."""
    lines = [line for part in parts for line in part.warnings]
    unread = sorted({name for part in parts for name in part.unread})
    if unread:
        lines.append(
            f"{TABLE}: columns that nothing reads: {', '.join(map(shown, unread))} "
            "(data.extra_columns keeps them)"
        )
    for name in ("user_id", "item_id"):
        numbers = [part.file for part in parts if name in part.integer_ids]
        texts = [part.file for part in parts if part.read and name not in part.integer_ids]
        if numbers and texts:
            lines.append(
                f"{TABLE}: {name} is a number in {numbers[0]} and a text in {texts[0]}; "
                "both are read as texts"
            )
    return lines

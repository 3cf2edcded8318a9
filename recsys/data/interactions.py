"""From logs to cleaned interactions: every row read is kept, quarantined, duplicate or filtered.

Called by the ingest and check stages; `buckets` writes what comes out.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recsys.data import accounts, erasure, faults, schemas, tables, uploads
from recsys.data.accounts import EXAMPLES, ORDER, Account, Tally
from recsys.data.erasure import NOBODY, Erased
from recsys.data.event_files import Keeper, Part
from recsys.data.settings import DataSettings
from recsys.engine import HERE, EngineSettings, map_buckets
from recsys.errors import InputFault, shown

TABLE = "interactions"
Keep = Callable[[int, pl.DataFrame], None]


class Opened(NamedTuple):
    """The files of a log: what reads them, what each came to, whether the producer confirms it."""

    keeper: Keeper
    parts: list[Part]
    verified: list[bool]


@dataclass(frozen=True)
class Ingested:
    """Cleaned interactions in memory.

    Attributes:
        frame: user_id, item_id, timestamp (UTC), event, weight, sequence and the extra columns,
            sorted by (user_id, timestamp, sequence).
        account: of every row.
    """

    frame: pl.DataFrame
    account: Account


def ingest(
    settings: DataSettings,
    known_items: pl.Series | set[str] | None,
    now_seconds: float,
    erased: Erased = NOBODY,
    parts_folder: Path | None = None,
) -> Ingested:
    """All cleaned interactions at once: `clean` for logs that fit into memory."""
    frames: list[pl.DataFrame] = []

    def keep(_: int, frame: pl.DataFrame) -> None:
        frames.append(frame)

    account = clean(settings, known_items, now_seconds, keep, erased, parts_folder)
    return Ingested(pl.concat(frames).sort(ORDER), account)


def clean(
    settings: DataSettings,
    known_items: pl.Series | set[str] | None,
    now_seconds: float,
    keep: Keep,
    erased: Erased = NOBODY,
    parts_folder: Path | None = None,
    engine: EngineSettings = HERE,
) -> Account:
    """Reads, checks and cleans all interactions of the dataset folder, bucket after bucket.

    In memory are `chunk_rows` rows of a Parquet file, or a text file as a whole; then the rows of
    one bucket; and all refused rows.

    Args:
        settings: the dataset folder and its rules.
        known_items: ids of the catalogue; rows on other items are filtered. None keeps them all.
        now_seconds: the present (not the day a list is for), epoch seconds.
        keep: takes the number and the rows of each bucket, empty ones too; the rows are sorted by
            (user_id, timestamp, sequence). Called where the bucket is worked on, and once more
            where that was lost. A fault may still follow.
        erased: users and items whose rows are filtered, refused ones too.
        parts_folder: keeps what each file came to, so that unchanged ones are not read again: the
            result is the same with and without it. None keeps nothing.
        engine: where files and buckets are worked on; anywhere but here it needs `parts_folder`.

    Raises:
        InputFault: no interactions, a file that cannot be trusted as a whole, more bad rows or
            more unknown items than the settings allow.
    """
    opening = opened(settings, now_seconds, erased, parts_folder, engine)
    with opening as (keeper, found, verified):
        quarantine = faults.together([part.bad for part in found])
        read = sum(part.read for part in found)
        warnings = _noticed(found) + faults.budget(
            quarantine, read, settings.quarantine_warn, settings.quarantine_fail, TABLE
        )
        known = None if known_items is None else pl.Series(sorted(known_items), dtype=pl.String)

        def of_bucket(bucket: int) -> Tally:
            tally = Tally()
            keep(bucket, tally.kept(_with_reasons(_numbered(found, bucket), known, settings)))
            return tally

        tally = Tally()
        for one in map_buckets(of_bucket, range(settings.buckets), engine.in_turn()):
            tally.add(one)
        keeper.forget_others(found)
    warnings += _unknown_items(tally, settings)
    warnings += erasure.left_out({part.file: part.erased for part in found})
    if not tally.fates["kept"].total():
        warnings.append(f"{TABLE}: 0 events are left of {read:,} rows")
    reasons = dict(sorted(tally.reasons.items(), key=lambda found: (-found[1], found[0])))
    if erased_rows := sum(part.erased for part in found):
        reasons["erased"] = erased_rows
    return Account(
        quarantine=quarantine,
        accounting=accounts.of_files(found, tally, verified),
        filtered=reasons,
        warnings=warnings,
        integer_ids=_integer_ids(found),
    )


@contextlib.contextmanager
def opened(
    settings: DataSettings, now_seconds: float, erased: Erased, folder: Path | None,
    engine: EngineSettings = HERE,
) -> Iterator[Opened]:  # fmt: skip
    """What each file of the log came to, kept in `folder`; without one, until this ends.

    Raises:
        InputFault: no interactions, a file that cannot be trusted as a whole, or two that differ.
    """
    paths, verified = _files(settings)
    with contextlib.ExitStack() as stack:
        aside = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keeper = Keeper(settings, now_seconds, erased, aside, lasting=folder is not None)
        found = list(map_buckets(keeper.part, paths, engine.in_turn()))
        for part in found:
            schemas.compare(found[0].shape, part.shape)
        yield Opened(keeper, found, verified)


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


def _numbered(parts: list[Part], bucket: int) -> pl.DataFrame:
    """The usable rows of a bucket in the order of the log, with the number of their file.

    Their `sequence` goes through all files.
    """
    frames, behind = [], 0  # sequence numbers used by the files before
    for number, part in enumerate(parts):
        place, file = pl.col("row") + behind, pl.lit(number, pl.Int32)
        frames.append(part.bucket(bucket).with_columns(sequence=place, file=file).drop("row"))
        behind += part.read + part.blank + 1
    return pl.concat(pl.collect_all(frames))


def _with_reasons(
    frame: pl.DataFrame, known: pl.Series | None, settings: DataSettings
) -> pl.DataFrame:
    """Adds `reason`: why a usable row is left out all the same; null where it stays."""
    unknown, small = pl.lit(False), pl.lit(False)
    if known is not None:
        unknown = ~pl.col("item_id").is_in(known.implode())
    if settings.min_weight is not None:
        small = pl.col("weight") < settings.min_weight
    return frame.with_columns(
        reason=pl.when(unknown)
        .then(pl.lit("unknown_item"))
        .when(small)
        .then(pl.lit("small_weight"))
    )


def _unknown_items(tally: Tally, settings: DataSettings) -> list[str]:
    """Warns of rows on items outside the catalogue, or refuses so many of them."""
    unknown = tally.reasons["unknown_item"]
    rows = sum(tally.fates[fate].total() for fate in ("kept", "duplicate", "filtered"))
    share = unknown / rows if rows else 0.0
    first = sorted(tally.unknown, key=tally.unknown.__getitem__)[:EXAMPLES]
    examples = ", ".join(map(shown, first))
    text = f"{unknown:,} of {rows:,} rows ({share:.2%}) are on items outside the catalogue"
    if share > settings.unknown_items_fail:
        raise InputFault(
            f"{text}; allowed are {settings.unknown_items_fail:.2%}",
            value=examples, where=TABLE,
            fix="complete the catalogue, or raise data.unknown_items_fail",
        )  # fmt: skip
    return [f"{TABLE}: {text}: {examples}"] if share > settings.unknown_items_warn else []


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

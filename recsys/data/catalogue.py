"""From the tables of items and users to one checked catalogue, published as one artefact.

Called by the ingest and check stages; every later stage loads what is written here.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from recsys import artefacts
from recsys.data import entities, erasure, faults, item_media, item_table, item_text, users, vectors
from recsys.data.erasure import NOBODY, Erased
from recsys.data.item_cells import KNOWN, MEDIA, PLACES
from recsys.data.item_table import TABLE
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings
from recsys.data.vectors import read_vectors, ready_made
from recsys.errors import shown
from recsys.settings import Section

KIND = "catalogue"
MADE = ("text", "text_hash", *(f"{name}_hash" for name in MEDIA))
CONTENT = ("text", *MEDIA)


class CatalogueSettings(Section):
    """Which media and texts are taken, and how many bad ones are tolerated."""

    on_duplicate: Literal["fail", "latest"] = Field(
        "fail", description="What to do about an id with two rows: refuse, or take the last row."
    )
    max_media_bytes: int = Field(
        200_000_000, ge=1, description="Largest image, video or sound that is read, in bytes."
    )
    max_text_chars: int = Field(
        20_000, ge=1, le=10_000_000, description="An item's text is cut after so many characters."
    )
    media_warn: float = Field(
        0.01, ge=0, le=1, description="Share of absent or refused media files that warns."
    )
    media_fail: float = Field(
        0.10, ge=0, le=1, description="Share of absent or refused media files that refuses."
    )


@dataclass(frozen=True)
class Catalogue:
    """Items, users, and what was wrong with them.

    Attributes:
        items: sorted by item_id: the columns of `item_cells.KNOWN` (media: usable paths only), text
            and text_hash, image_hash, video_hash, audio_hash, and every other column.
        users: sorted by user_id, with attributes; None where the dataset has no such table.
        quarantine: refused rows and cells, as `faults.SCHEMA`.
        counts: what was counted, by name.
        warnings: what a person should look at.
        item_id_type, user_id_type: what ids are outside, to cast them back; the latter None
            without a table of users.
    """

    items: pl.DataFrame
    users: pl.DataFrame | None
    quarantine: pl.DataFrame
    counts: dict[str, int]
    warnings: tuple[str, ...]
    item_id_type: Literal["int", "str"]
    user_id_type: Literal["int", "str"] | None


def read(
    data: DataSettings,
    settings: CatalogueSettings,
    folder: Path,
    erased: Erased = NOBODY,
    from_log: RawTable | None = None,
) -> Catalogue:
    """Reads and checks the catalogue of a dataset folder; every media file is hashed.

    Args:
        data, settings: how tables are written; limits of media and texts.
        folder: the dataset folder; media paths are relative to it.
        erased: users and items that are left out.
        from_log: what stands for the items where there is no such table, from `log_items`.

    Raises:
        InputFault: no items, a damaged file, an id that repeats, too many bad rows or media paths.
        GateFault: more media files are absent than the settings allow.
    """
    data = entities.located(data, folder)
    table = item_table.read(data, MADE, from_log)
    rows = erasure.without(table.frame, erased)
    items = entities.one_row_each(rows, "item_id", settings.on_duplicate)
    items, bad_media, media = item_media.checked(items, folder, settings.max_media_bytes)
    noticed = item_media.budget(media, settings.media_warn, settings.media_fail)
    items, text_cut = _with_text(items, settings)
    people = users.read(data, settings.on_duplicate, erased)
    bad = faults.together([table.bad_cells, bad_media])
    counts = {
        "rows": table.rows,
        "rows_quarantined": table.bad_rows.height,
        "rows_replaced": rows.height - items.height,
        "cells_quarantined": bad.height,
        "text_cut": text_cut,
        **media,
        **sizes(items, people.frame if people else None),
    }
    noticed += _noticed(items, bad, counts, folder)
    noticed += erasure.left_out(erasure.rows_by(entities.FILE, table.frame, erased))
    refused = faults.together([table.bad_rows, bad, *([people.quarantine] if people else [])])
    return Catalogue(
        items=items,
        users=people.frame if people else None,
        quarantine=erasure.without(refused, erased),
        counts=counts,
        warnings=(*table.warnings, *noticed, *(people.warnings if people else ())),
        item_id_type="int" if table.integers else "str",
        user_id_type=("int" if people.integers else "str") if people else None,
    )


def fingerprint(catalogue: Catalogue) -> str:
    """A hash of all that a catalogue holds (16 hex digits): equal content, equal version."""
    digest = hashlib.sha256()
    for frame in (catalogue.items, catalogue.users, catalogue.quarantine):
        stream = io.BytesIO()
        if frame is not None:
            frame.write_parquet(stream, compression="uncompressed", statistics=False)
        digest.update(hashlib.sha256(stream.getvalue()).digest())
    digest.update(json.dumps(_facts(catalogue), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def write(
    catalogue: Catalogue, root: Path, name: str, parents: Mapping[str, str] | None = None
) -> Path:
    """Publishes a catalogue as `root/name`.

    Raises:
        ResourceFault: the disk is full or not writable.
    """
    frames = {"items": catalogue.items, "quarantine": catalogue.quarantine}
    if catalogue.users is not None:
        frames["users"] = catalogue.users
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        for table, frame in frames.items():
            frame.write_parquet(staged.folder / f"{table}.parquet", compression="zstd")
            staged.rows[f"{table}.parquet"] = frame.height
        staged.facts.update(_facts(catalogue))
    return root / name


def load(folder: Path) -> Catalogue:
    """Reads a published catalogue and checks it against its manifest.

    Raises:
        InputFault: the folder is damaged or holds something else.
    """
    facts = artefacts.read(folder, KIND)
    tables = {
        name: pl.read_parquet(folder / f"{name}.parquet", hive_partitioning=False)
        for name in ("items", "quarantine", "users")
        if f"{name}.parquet" in facts["files"]
    }
    return Catalogue(
        items=tables["items"],
        users=tables.get("users"),
        quarantine=tables["quarantine"],
        counts=facts["counts"],
        warnings=tuple(facts["warnings"]),
        item_id_type=facts["item_id_type"],
        user_id_type=facts["user_id_type"],
    )


def _facts(catalogue: Catalogue) -> dict[str, object]:
    return {
        "counts": catalogue.counts,
        "warnings": list(catalogue.warnings),
        "item_id_type": catalogue.item_id_type,
        "user_id_type": catalogue.user_id_type,
    }


def _with_text(items: pl.DataFrame, settings: CatalogueSettings) -> tuple[pl.DataFrame, int]:
    """The items with their texts, columns in order, places gone; and how many texts were cut."""
    text = item_text.joined(items, settings.max_text_chars)
    whole = items.drop(PLACES).hstack(text.drop("text_cut"))
    return whole.select(*KNOWN, *MADE, pl.exclude(*KNOWN, *MADE)), int(text["text_cut"].sum())


def sizes(items: pl.DataFrame, people: pl.DataFrame | None) -> dict[str, int]:
    """How many items and users there are, and how many items have what."""
    return {
        "items": items.height,
        **{f"with_{name}": int(_has(items, name).sum()) for name in CONTENT},
        "available": int(items["available"].sum()),
        "users": 0 if people is None else people.height,
    }


def _has(items: pl.DataFrame, name: str) -> pl.Series:
    """Which items have anything in a column."""
    column = items[name]
    return column.list.len() > 0 if isinstance(column.dtype, pl.List) else column.is_not_null()


def _noticed(
    items: pl.DataFrame, bad: pl.DataFrame, counts: dict[str, int], folder: Path
) -> list[str]:
    """Warnings about the whole table."""
    lines = entities.near_twins(items["item_id"])
    if not bad.is_empty():
        listed = ", ".join(f"{code} {count:,}" for code, count in faults.counts(bad).items())
        lines.append(f"{TABLE}: {bad.height:,} cells are in quarantine: {listed}")
    if counts["rows_replaced"]:
        lines.append(f"{TABLE}: {counts['rows_replaced']:,} rows gave way to a later one")
    nothing = ~items.select(
        pl.any_horizontal(
            pl.lit(_has(items, name))
            for name in items.columns
            if name not in ("item_id", "created_at", "available")
        )
    ).to_series()
    known = pl.Series(items["item_id"])
    for name, path in ready_made(folder).items():
        ids = vectors.item_ids(path)
        nothing &= ~known.is_in(ids.implode())
        if unknown := (~ids.is_in(known.implode())).sum():
            lines.append(
                f"features/{name}.parquet: {unknown:,} of {ids.len():,} vectors are of items "
                "outside the catalogue"
            )
    if nothing.any():
        lines.append(
            f"{TABLE}: {nothing.sum():,} items have nothing but their id (no text, media, "
            f"attributes or vectors), first {shown(items.filter(nothing)['item_id'][0])}; only "
            "their interactions can place them"
        )
    return lines


# Beside the catalogue's own names: ready-made vectors are part of it for the stages.
__all__ = ["Catalogue", "CatalogueSettings", "read_vectors", "ready_made"]

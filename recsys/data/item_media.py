"""Which pictures, clips and sounds of the catalogue are there and safe, and what they hold.

Called by the catalogue, after the cells are typed and every item has one row.
"""

from pathlib import Path

import polars as pl

from recsys.data import media_paths
from recsys.data.entities import FILE, cells
from recsys.data.item_cells import MEDIA
from recsys.data.media_paths import ABSENT
from recsys.errors import GateFault, InputFault


def checked(
    items: pl.DataFrame, folder: Path, max_bytes: int
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Keeps the usable media of every item and hashes them.

    Args:
        items: typed, with their places; image, video and audio hold what the table says.
        folder: the dataset folder, the root of all paths.
        max_bytes: of one file.

    Returns:
        items with only usable paths and with image_hash, video_hash, audio_hash (sha256, in the
        order of the paths); the quarantine of refused paths; and per modality how many paths were
        `_named`, `_absent` (missing or unreadable) and `_refused`.
    """
    counts: dict[str, int] = {}
    refused = []
    for name in MEDIA:
        found = _found(items, name, folder, max_bytes)
        reason = pl.col("found").str.starts_with("media_")
        bad = found.filter(reason & ~pl.col("found").is_in(list(ABSENT)))
        refused.append(_quarantined(items, bad, name))
        counts |= {
            f"{name}_named": found.height,
            f"{name}_absent": found.filter(pl.col("found").is_in(list(ABSENT))).height,
            f"{name}_refused": bad.height,
        }
        usable = found.filter(~reason).group_by("place", maintain_order=True).agg("path", "found")
        items = _with_lists(items, usable, name)
    return items, pl.concat(refused), counts


def budget(counts: dict[str, int], warn: float, fail: float) -> list[str]:
    """Compares the shares of refused and of absent media with the budgets; returns warnings.

    Raises:
        InputFault: too many paths are refused.
        GateFault: too many files are absent: the media store is partly gone, or not mounted.
    """
    warnings = []
    for name in MEDIA:
        named, absent, refused = (
            counts[f"{name}_{what}"] for what in ("named", "absent", "refused")
        )
        for number, what in ((refused, "refused"), (absent, "not there or not readable")):
            share = number / named if named else 0.0
            text = f"items: {number:,} of {named:,} {name} paths ({share:.2%}) are {what}"
            if share > fail:
                fault = InputFault if what == "refused" else GateFault
                raise fault(
                    f"{text}; allowed are {fail:.2%}",
                    where=f"items: {name}",
                    fix="mend the paths or restore the files, or raise catalogue.media_fail",
                )
            if share > warn:
                warnings.append(text)
    return warnings


def _found(items: pl.DataFrame, name: str, folder: Path, max_bytes: int) -> pl.DataFrame:
    """Every path: `place` of its item, `path` in its one spelling, hash or reason as `found`."""
    paths = (
        items.select(pl.int_range(pl.len()).alias("place"), pl.col(name).alias("written"))
        .explode("written")
        .drop_nulls("written")
    )
    known = media_paths.hashes(folder, paths["written"], max_bytes)
    table = pl.DataFrame(
        {
            "written": list(known),
            "found": list(known.values()),
            "path": [media_paths.relative(text) for text in known],
        },
        schema={"written": pl.String, "found": pl.String, "path": pl.String},
    )
    return paths.join(table, on="written", how="left", maintain_order="left").unique(
        ["place", "path"], keep="first", maintain_order=True
    )


def _quarantined(items: pl.DataFrame, bad: pl.DataFrame, name: str) -> pl.DataFrame:
    places = items.select(FILE, "row", "byte_offset", "item_id")[bad["place"]]
    return cells(
        places.with_columns(
            pl.lit(name).alias("column"),
            bad["found"].alias("code"),
            bad["written"].alias("value"),
            raw=pl.struct("item_id").struct.json_encode(),
        )
    )


def _with_lists(items: pl.DataFrame, usable: pl.DataFrame, name: str) -> pl.DataFrame:
    nothing = pl.lit([], dtype=pl.List(pl.String))
    places = pl.DataFrame({"place": pl.int_range(items.height, eager=True)})
    lists = places.join(usable, on="place", how="left", maintain_order="left").select(
        pl.col("path").fill_null(nothing).alias(name),
        pl.col("found").fill_null(nothing).alias(f"{name}_hash"),
    )
    return items.with_columns(lists.get_columns())

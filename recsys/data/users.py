"""Reads the optional table of users: an id and any attributes. Called by the catalogue."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from recsys.data import entities, erasure, faults
from recsys.data.entities import FILE
from recsys.data.erasure import NOBODY, Erased
from recsys.data.settings import DataSettings

TABLE = "users"


@dataclass(frozen=True)
class Users:
    """The table of users.

    Attributes:
        frame: user_id and attributes, sorted by user_id.
        quarantine: rows without a usable id, as `faults.SCHEMA`.
        integers: whether ids are whole numbers outside.
        warnings: what a person should look at.
    """

    frame: pl.DataFrame
    quarantine: pl.DataFrame
    integers: bool
    warnings: tuple[str, ...]


def read(
    data: DataSettings, on_duplicate: Literal["fail", "latest"], erased: Erased = NOBODY
) -> Users | None:
    """Reads `users.*` of the dataset folder; None where there is none.

    Args:
        data: from `entities.located`.
        on_duplicate: what to do about an id that stands twice.
        erased: who is left out.

    Raises:
        InputFault: a file cannot be trusted as a whole, too many rows are bad, an id repeats.
    """
    parts = entities.parts(TABLE, "user_id", data)
    if not parts:
        return None
    frames, bad, theirs = [], [part.quarantine for part in parts], {}
    for part in parts:
        good, refused = entities.usable(
            part.frame.with_columns(pl.lit(part.file).alias(FILE)), "user_id"
        )
        frames.append(erasure.without(good, erased))
        theirs[part.file] = good.height - frames[-1].height
        bad.append(refused)
    quarantine = erasure.without(faults.together(bad), erased)
    warnings = [line for part in parts for line in part.warnings]
    warnings += erasure.left_out(theirs)
    rows = sum(part.read for part in parts)
    warnings += faults.budget(quarantine, rows, data.quarantine_warn, data.quarantine_fail, TABLE)
    frame = entities.one_row_each(entities.stacked(frames, TABLE), "user_id", on_duplicate)
    plain = [
        pl.col(name).cast(pl.String)
        for name, dtype in frame.schema.items()
        if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null)
    ]
    return Users(
        frame=frame.drop(FILE, "row", "byte_offset").with_columns(plain),
        quarantine=quarantine,
        integers=all("user_id" in part.integer_ids for part in parts),
        warnings=(*warnings, *entities.near_twins(frame["user_id"])),
    )

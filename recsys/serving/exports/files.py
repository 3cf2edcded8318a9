"""Lists as one CSV or JSONL file, which appears whole or not at all."""

import secrets
from pathlib import Path
from typing import Literal

import polars as pl

from recsys import durable
from recsys.errors import ResourceFault

Kind = Literal["csv", "jsonl"]
# A spreadsheet takes a cell that begins so for a formula, and runs it (OWASP, "CSV Injection").
FORMULA = r"^[=+\-@\t\r\n\x00＝＋－＠]"


def write(frame: pl.DataFrame, path: Path, kind: Kind) -> None:
    """Writes a table; an older file of that name is replaced in one step.

    In CSV a text that a spreadsheet would take for a formula begins with an apostrophe; JSONL holds
    every text as it is.

    Raises:
        ResourceFault: the disk is full or not writable.
    """
    staged = path.with_name(f"{durable.TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "csv":
            harmless(frame).write_csv(staged)
        else:
            frame.write_ndjson(staged)
        durable.sync_file(staged)
        staged.replace(path)
        durable.sync_folder(path.parent)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise ResourceFault(
            f"the export could not be written: {error.strerror}", value=str(path), where="export",
            fix="free space or mend the permissions, then run the same command again",
        ) from None  # fmt: skip


def harmless(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts that begin as a formula get an apostrophe before them."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(FORMULA))
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )

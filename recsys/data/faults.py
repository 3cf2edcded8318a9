"""Bad rows: why each was refused, the quarantine frame, its messages and its budget.

Readers, checks and the catalogue put rows in; ingest writes the frame beside the cleaned data.
"""

import polars as pl

from recsys.errors import InputFault, escaped, shown

EXAMPLES = 20
RAW_CHARACTERS = 2000
SCHEMA = {
    "file": pl.String,
    "row": pl.Int64,
    "byte_offset": pl.Int64,
    "column": pl.String,
    "code": pl.String,
    "value": pl.String,
    "raw": pl.String,
}
# code -> what was found; what is allowed; how to fix
CODES: dict[str, tuple[str, str, str]] = {
    "short_row": ("too few fields", "one field a column", "mend the row"),
    "long_row": ("too many fields", "one field a column", "quote fields that hold the delimiter"),
    "torn_row": ("the last row is cut", "whole rows", "the file may be truncated: upload it again"),
    "bad_json": ("not valid JSON", "one JSON object a line, no NaN", "mend the line"),
    "duplicate_key": ("a key stands twice", "each key once", "keep one of them"),
    "not_an_object": ("not a JSON object", "one JSON object a line", "mend the line"),
    "too_deep": ("nested too deeply", "flat JSON objects", "mend the line"),
    "not_a_value": ("a list", "a text or a number", "write one value"),
    "bad_unicode": ("half a surrogate pair", "valid Unicode", "mend the producer"),
    "empty_id": ("an empty id", "a text that is not blank", "mend the producer"),
    "control_character": ("a control character", "printable ids", "mend the producer"),
    "id_type": ("not an id", "a text or a whole number", "write ids as texts"),
    "bad_timestamp": (
        "not a time",
        "ISO 8601 with an offset, or an epoch number",
        "mend the row, or import by [mapping], which takes a pattern",
    ),
    "timestamp_range": (
        "a time that cannot be right",
        "data.earliest up to a day from now",
        "mend the clock or set data.earliest",
    ),
    "timestamp_unit": ("a bare number", "times with an offset", "set data.timestamp_unit"),
    "timestamp_zone": ("a time without a zone", "times with an offset", "set data.timezone"),
    "timestamp_shift": (
        "a local time that the clock change skips or repeats",
        "times that exist once",
        "write times with an offset",
    ),
    "integer_range": ("a number of more than 64 bits", "64-bit numbers", "mend the producer"),
    "unknown_event": ("an unknown event", "the names in data.events", "add it to data.events"),
    "bad_weight": ("not a weight", "a finite number of 0 or more, as 4.5", "mend the row"),
    "bad_price": ("not a price", "a number of 0 or more, as 1299.00", "mend the cell"),
    "bad_available": (
        "neither yes nor no: it counts as no",
        "true, yes or 1; false, no or 0",
        "mend the cell",
    ),
    "media_too_long": ("too long a path", "1024 bytes, 255 a name", "rename the file"),
    "media_control_character": ("a hidden character in a path", "printable", "rename the file"),
    "media_backslash": ("a backslash in a path", "a / between names", "write /"),
    "media_percent_encoded": ("an encoded path", "the path as it is", "decode it"),
    "media_url": ("an address, not a path", "files in the dataset folder", "download it there"),
    "media_absolute": ("an absolute path", "paths from the dataset folder", "write it from there"),
    "media_home": ("a path from a home folder", "paths from the dataset folder", "move the file"),
    "media_parent": ("a path with ..", "paths inside the dataset folder", "move the file there"),
    "media_symlink_escape": ("a link out of the folder", "links inside it", "copy the file there"),
    "media_not_a_file": ("not a file", "regular files", "name a file"),
    "media_too_large": ("too large a file", "catalogue.max_media_bytes", "make it smaller"),
}  # fmt: skip


def empty() -> pl.DataFrame:
    """A quarantine frame without rows."""
    return pl.DataFrame(schema=SCHEMA)


def quarantine(rows: pl.DataFrame, file: str) -> pl.DataFrame:
    """Bad rows of one file as a quarantine frame.

    Args:
        rows: with `row` and `code`; `byte_offset`, `column`, `value`, `raw` where they are known.
        file: what the messages call the file.
    """
    given = [name for name in SCHEMA if name in rows.columns]
    lacking = [name for name in SCHEMA if name not in given and name != "file"]
    frame = rows.select(given).with_columns(
        pl.lit(file).alias("file"), *(pl.lit(None).alias(name) for name in lacking)
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()).with_columns(
        pl.col("value", "raw").str.slice(0, RAW_CHARACTERS)
    )


def together(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Several quarantine frames as one."""
    return pl.concat([empty(), *frames])


def messages(frame: pl.DataFrame, examples: int = EXAMPLES) -> list[str]:
    """One line a bad row, `file:row:column CODE ...`; at most `examples` a code, then a count."""
    lines = []
    for (code,), rows in frame.group_by("code", maintain_order=True):
        what, allowed, fix = CODES[str(code)]
        for row in rows.head(examples).iter_rows(named=True):
            place = f"{row['file']}:{row['row']}:{row['column'] or ''}"
            value = row["raw"] if row["value"] is None else row["value"]
            lines.append(
                f"{escaped(place)} {code} {what} ({shown(value)}); allowed: {allowed}; fix: {fix}"
            )
        if rows.height > examples:
            lines.append(f"... and {rows.height - examples} more of {code}")
    return lines


def counts(frame: pl.DataFrame) -> dict[str, int]:
    """Bad rows a code, the most frequent first."""
    grouped = frame.group_by("code").len().sort("len", "code", descending=[True, False])
    return dict(grouped.iter_rows())


def budget(frame: pl.DataFrame, read: int, warn: float, fail: float, what: str) -> list[str]:
    """Compares the share of bad rows with the budgets; returns warnings.

    Args:
        frame: the quarantine.
        read: how many rows were read in all.
        warn: share above which a warning is returned.
        fail: share above which the input is refused.
        what: name of the table in the messages.

    Raises:
        InputFault: more than `fail` of the rows are bad; the first ones are listed.
    """
    share = frame.height / read if read else 0.0
    listed = ", ".join(f"{code} {count:,}" for code, count in counts(frame).items())
    text = f"{what}: {frame.height:,} of {read:,} rows ({share:.2%}) are bad: {listed}"
    if share > fail:
        raise InputFault(
            f"{text}; allowed are {fail:.2%}",
            where="; ".join(messages(frame, examples=3)[:10]),
            fix="mend the rows, or raise data.quarantine_fail",
        )
    return [text] if share > warn else []

"""The text of an item as encoders read it: title and description without markup or hidden signs.

Called by the catalogue. Reports escape the original instead.
"""

import hashlib
import html

import polars as pl

# A shop's export may hold whole pages: so much more than `max_characters` is looked at, no more.
RAW_FACTOR = 8
BLOCKS = r"(?is)<(?:script|style)\b[^>]*>.*?</(?:script|style)\s*>|<!--.*?-->"
TAGS = r"(?s)</?[A-Za-z][^<>]{0,2000}>|<![A-Za-z][^<>]{0,2000}>"
# Control characters and all invisible format characters, such as bidirectional overrides, but for
# the joiners that emoji and Persian need and the Arabic and other number signs, which are visible.
INVISIBLE = (
    r"[\p{Cf}\p{Cc}"
    r"--[\t\n\r\x{200C}\x{200D}\x{600}-\x{605}\x{6DD}\x{70F}\x{8E2}\x{110BD}\x{110CD}]]"
)
JOINERS = r"[\x{200C}\x{200D}]"


def clean(column: pl.Expr) -> pl.Expr:
    """A text without markup, entities and invisible characters, in one line; null if blank."""
    text = column.str.replace_all(BLOCKS, " ").str.replace_all(TAGS, " ")
    text = (
        pl.when(text.str.contains("&", literal=True))
        .then(text.map_batches(_unescaped, return_dtype=pl.String))
        .otherwise(text)
    )
    text = text.str.replace_all(INVISIBLE, "").str.normalize("NFC")
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(text.str.replace_all(JOINERS, "").str.strip_chars() != "").then(text)


def joined(frame: pl.DataFrame, max_characters: int) -> pl.DataFrame:
    """`text` (title, newline, description), its `text_hash`, and whether it was `text_cut`.

    Args:
        frame: with the texts `title` and `description`.
        max_characters: of the text.

    Returns:
        three columns; text and hash are null where nothing readable is left.
    """
    looked_at = max_characters * RAW_FACTOR
    fields = [pl.col("title"), pl.col("description")]
    parts = frame.select(clean(field.str.slice(0, looked_at)) for field in fields)
    whole = pl.concat_str(pl.all(), separator="\n", ignore_nulls=True)
    unread = frame.select(
        pl.any_horizontal(field.str.len_chars() > looked_at for field in fields)
    ).to_series()
    return (
        parts.select(whole=pl.when(whole != "").then(whole))
        .with_columns(text=pl.col("whole").str.slice(0, max_characters))
        .select(
            "text",
            text_hash=pl.col("text").map_batches(_hashed, return_dtype=pl.String),
            text_cut=((pl.col("whole").str.len_chars() > max_characters) | unread).fill_null(False),
        )
    )


def _unescaped(texts: pl.Series) -> pl.Series:
    return pl.Series(
        texts.name,
        [html.unescape(text) if text is not None and "&" in text else text for text in texts],
        dtype=pl.String,
    )


def _hashed(texts: pl.Series) -> pl.Series:
    return pl.Series(
        texts.name,
        [None if text is None else hashlib.sha256(text.encode()).hexdigest() for text in texts],
        dtype=pl.String,
    )

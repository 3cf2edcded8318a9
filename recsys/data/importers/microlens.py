"""MicroLens: micro-videos with titles, covers, clips and sound, 50K to 1M users.

https://github.com/westlake-repl/MicroLens (Ni et al. 2023). Interactions are
`*_pairs.csv` (user, item, milliseconds). Comments, likes and views are behaviour of unknown time
and are left out; so are the extracted features, whose row order the release does not state.
"""

import polars as pl

from recsys.data.importers import columns, delimited
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import KEY, Column, Delimited, Plan, Table

MEDIA = {"image": "*_covers", "video": "*_videos", "audio": "*_audios"}
TITLES = ("*_titles.csv", "*_title_en.csv", "*_titles_en.csv", "*_title*.csv")
DATA = {"events": {"view": 1.0}, "default_event": "view"}
# Titles of 100K stand unquoted after the first comma; those of 50K are CSV with a header.
BARE = Delimited(header=("item", "title"), quoted=False, last_takes_rest=True)
TAGS = Delimited(header=("item", "tag"), quoted=False, last_takes_rest=True)


def plan(origin: Origin) -> Plan:
    """What to do with a MicroLens folder; media folders are `*_covers`, `*_videos`, `*_audios`.

    Raises:
        InputFault: there are no pairs.
    """
    pairs = Table("interactions", origin.one("*_pairs.csv"), Delimited(), _pair())
    found = {kind: origin.folder(pattern) for kind, pattern in MEDIA.items()}
    media = {name: f"media/{name}" for files in found.values() for name in files.values()}
    beside: list[Table | pl.DataFrame] = [
        pl.DataFrame({KEY: list(files), kind: [f"media/{name}" for name in files.values()]})
        for kind, files in found.items()
        if files
    ]
    if origin.find("tags_to_summary.csv"):
        key = columns.made(KEY, "item", pl.col("item").str.strip_chars(), "is blank")
        tag = columns.made("category", "tag", _unquoted("tag"))
        beside.insert(0, Table("items", "tags_to_summary.csv", TAGS, (key, tag)))
    titles = origin.one(*TITLES)
    quoted = delimited.header(origin, titles, Delimited()) == ["item", "title"]
    items = Table("items", titles, Delimited() if quoted else BARE, _item(), tuple(beside))
    absent = [kind for kind in ("image", "video") if not found[kind]]
    settings = {f"features.{kind}": {"encoder": "none"} for kind in absent}
    return Plan((pairs, items), media, settings={"data": DATA, **settings})


def _pair() -> tuple[Column, ...]:
    return (
        columns.whole_id("user_id", "user"),
        columns.whole_id("item_id", "item"),
        columns.moment("timestamp", unit="ms"),
    )


def _item() -> tuple[Column, ...]:
    return (
        columns.whole_id("item_id", "item"),
        columns.made("title", "title", _unquoted("title")),
    )


def _unquoted(name: str) -> pl.Expr:
    """A text without the quotes that may stand around it."""
    given = pl.col(name).str.strip_chars()
    inner = given.str.slice(1, given.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    whole = given.str.starts_with('"') & given.str.ends_with('"') & (given.str.len_chars() > 1)
    return pl.when(whole).then(inner).when(given != "").then(given)

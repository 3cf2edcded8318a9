"""Amazon Reviews 2023: reviews and item metadata of one or more categories, as JSON lines.

https://amazon-reviews-2023.github.io (Hou et al. 2024). A review is an interaction of its time and
rating with the `parent_asin`, the item that the metadata speak of. Pictures are addresses: they are
listed in image_urls.parquet and not opened.
"""

import datetime
from typing import Any

import polars as pl

from recsys.data.importers import columns
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import Column, Delimited, JsonLines, Plan, Table
from recsys.errors import InputFault

META = ("meta_*.jsonl", "meta_*.jsonl.gz", "meta_*.jsonl.zst")
REVIEWS = ("*.jsonl", "*.jsonl.gz", "*.jsonl.zst")
RATINGS = ("*.csv", "*.csv.gz")
TEXTS = pl.List(pl.String())
PICTURES = pl.List(pl.Struct({"hi_res": pl.String(), "large": pl.String()}))
REVIEW = JsonLines(
    {
        "user_id": pl.String(),
        "parent_asin": pl.String(),
        "timestamp": pl.Int64(),
        "rating": pl.Float64(),
    }
)
ITEM: dict[str, Any] = {
    "parent_asin": pl.String(),
    "title": pl.String(),
    "main_category": pl.String(),
    "categories": TEXTS,
    "features": TEXTS,
    "description": TEXTS,
    "store": pl.String(),
    "price": pl.String(),
}
PRICE = r"^\$?([0-9]+(?:\.[0-9]+)?)$"
DATA = {
    "events": {"review": 1.0},
    "default_event": "review",
    "earliest": datetime.date(1996, 1, 1),
}


def plan(origin: Origin) -> Plan:
    """What to do with a folder of review and metadata files.

    Raises:
        InputFault: it holds no reviews.
    """
    meta = [name for pattern in META for name in origin.find(pattern)]
    reviews = [name for p in REVIEWS for name in origin.find(p) if not name.startswith("meta_")]
    ratings = [] if reviews else [name for pattern in RATINGS for name in origin.find(pattern)]
    if not reviews and not ratings:
        raise InputFault(
            "no reviews: neither CATEGORY.jsonl(.gz) nor the rating-only CATEGORY.csv(.gz)",
            value=", ".join(origin.names[:8]) or "no files", where=str(origin.path),
            fix="put CATEGORY.jsonl.gz and meta_CATEGORY.jsonl.gz into one folder",
        )  # fmt: skip
    pictures = JsonLines({"parent_asin": pl.String(), "images": PICTURES})
    tables = (
        *(Table("interactions", name, REVIEW, _event()) for name in reviews),
        *(Table("interactions", name, Delimited(), _event()) for name in ratings),
        *(Table("items", name, JsonLines(ITEM), _item()) for name in meta),
        *(Table("image_urls", name, pictures, _pictures()) for name in meta),
    )
    notes = (
        ("image_urls.parquet lists where pictures are; `recsys fetch-images` fetches them",)
        if meta
        else ()
    )
    absent = {f"features.{name}": {"encoder": "none"} for name in ("image", "video")}
    return Plan(tables, settings={"data": DATA, **absent}, notes=notes)


def _event() -> tuple[Column, ...]:
    return (
        columns.text_id("user_id", "user_id"),
        columns.text_id("item_id", "parent_asin"),
        columns.moment("timestamp", unit="ms"),
        columns.weight("rating"),
    )


def _item() -> tuple[Column, ...]:
    category = pl.when(pl.col("categories").list.len() > 0).then("categories")
    main = pl.when(pl.col("main_category") != "").then(pl.concat_list("main_category"))
    texts = pl.concat_list(*(pl.col(name).fill_null([]) for name in ("description", "features")))
    written = texts.list.eval(pl.element().filter(pl.element().str.strip_chars() != ""))
    text = pl.when(written.list.len() > 0).then(written.list.join("\n"))
    price = pl.col("price").str.strip_chars().str.extract(PRICE).cast(pl.Float64, strict=False)
    return (
        columns.text_id("item_id", "parent_asin"),
        columns.text("title", "title"),
        columns.made("description", ("description", "features"), text),
        columns.made("category", ("categories", "main_category"), pl.coalesce(category, main)),
        columns.text("brand", "store"),
        columns.made("price", "price", price),
    )


def _pictures() -> tuple[Column, ...]:
    address = pl.coalesce(pl.element().struct.field("hi_res"), pl.element().struct.field("large"))
    urls = pl.col("images").list.eval(address.drop_nulls())
    return (columns.text_id("item_id", "parent_asin"), columns.made("url", "images", urls))

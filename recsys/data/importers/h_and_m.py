"""H&M Personalized Fashion Recommendations, as Kaggle distributes it.

https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations (2022):
articles.csv, customers.csv, transactions_train.csv, images/012/0123456789.jpg. Days have no time of
day: they are read as midnight UTC, and a row repeated within a day counts as one at ingest.
"""

from typing import Any

import polars as pl

from recsys.data.importers import columns
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import KEY, Column, Delimited, Plan, Table

CATEGORIES = ("product_group_name", "product_type_name")
ATTRIBUTES = (
    "graphical_appearance_name", "colour_group_name", "perceived_colour_master_name",
    "department_name", "index_name", "section_name", "garment_group_name",
)  # fmt: skip
PEOPLE = ("club_member_status", "fashion_news_frequency", "postal_code")
DATA = {"events": {"purchase": 1.0}, "default_event": "purchase"}


def plan(origin: Origin) -> Plan:
    """What to do with H&M's folder.

    Raises:
        InputFault: a table is missing.
    """
    images = origin.folder("images")
    media = {name: f"media/{name}" for name in images.values()}
    paths = pl.DataFrame({KEY: list(images), "image": list(media.values())})
    articles = Table(
        "items", origin.one("articles.csv"), Delimited(), _article(), (paths,) if images else ()
    )
    people = [Table("users", name, Delimited(), _person()) for name in origin.find("customers.csv")]
    bought = Table("interactions", origin.one("transactions_train.csv"), Delimited(), _purchase())
    settings: dict[str, dict[str, Any]] = {
        "data": DATA,
        "features.attributes": {"columns": ["category", *ATTRIBUTES]},
        **({} if images else {"features.image": {"encoder": "none"}}),
        "features.video": {"encoder": "none"},
    }
    return Plan((bought, articles, *people), media, settings=settings)


def _purchase() -> tuple[Column, ...]:
    return (
        columns.text_id("user_id", "customer_id"),
        columns.text_id("item_id", "article_id"),
        columns.moment("t_dat", zone="UTC"),
    )


def _article() -> tuple[Column, ...]:
    category = pl.concat_list(*(pl.col(name).replace("", None) for name in CATEGORIES))
    return (
        columns.text_id("item_id", "article_id"),
        columns.text("title", "prod_name"),
        columns.text("description", "detail_desc"),
        columns.made(
            "category", CATEGORIES, category.list.drop_nulls().list.unique(maintain_order=True)
        ),
        *(columns.text(name, name) for name in ATTRIBUTES),
    )


def _person() -> tuple[Column, ...]:
    return (
        columns.text_id("user_id", "customer_id"),
        columns.number("age", "age"),
        *(columns.text(name, name) for name in PEOPLE),
    )

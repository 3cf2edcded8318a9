"""MovieLens: 100K, 1M, 10M, 20M, 25M, 32M and the latest sets, as GroupLens distributes them.

https://grouplens.org/datasets/movielens/ (Harper and Konstan 2015). Ratings become interactions
whose weight is the rating. Tags and links are left out: tags are behaviour with times of their own.
"""

import datetime
from typing import Any

import polars as pl

from recsys.data.importers import columns
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import Column, Delimited, Plan, Table
from recsys.errors import InputFault

NO_GENRES = "(no genres listed)"
YEAR = r"\((\d{4})\)\s*$"
FLAGS = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
RATINGS = ("userId", "movieId", "rating", "timestamp")
MOVIES = ("movieId", "title", "genres")
USERS = ("gender", "age", "occupation", "zip")
SETTINGS: dict[str, dict[str, Any]] = {
    "data": {
        "events": {"rating": 1.0},
        "default_event": "rating",
        "earliest": datetime.date(1995, 1, 1),
    },
    "features.attributes": {"columns": ["category", "year"]},
    "features.image": {"encoder": "none"},
    "features.video": {"encoder": "none"},
}
# Chosen on MovieLens-1M's validation window (configs/movielens.toml, benchmarks/README.md); on a
# sixth of its users they are no better than the defaults, so smaller sets keep those.
TUNED: dict[str, dict[str, Any]] = {
    "model.users": {"request_time": True, "max_length": 100},
    "train.batches": {"batch_events": 4096, "windows": "last"},
}
LARGE = 10_000_000  # bytes of ratings; MovieLens-1M has 24.6 million
TOLD = "settings.toml reads histories of 100 ratings, as was best on MovieLens-1M"


def plan(origin: Origin) -> Plan:
    """What to do with a MovieLens folder or archive; the version is told by its files.

    Raises:
        InputFault: it holds no version that is known.
    """
    if origin.find("u.data"):
        tables = _hundred_thousand()
    elif origin.find("ratings.dat"):
        tables = _dat(people=bool(origin.find("users.dat")))
        if _large(origin, "ratings.dat"):
            return Plan(tables, settings=SETTINGS | TUNED, notes=(TOLD,))
    elif origin.find("ratings.csv"):
        tables = (
            _ratings("ratings.csv", Delimited()),
            Table("items", "movies.csv", Delimited(), _movie(_genres())),
        )
    else:
        raise InputFault(
            "no MovieLens data set: neither u.data nor ratings.dat nor ratings.csv",
            value=", ".join(origin.names[:8]) or "no files", where=str(origin.path),
            fix="name the unpacked folder, such as ml-1m, or its .zip file",
        )  # fmt: skip
    return Plan(tables, settings=SETTINGS)


def _large(origin: Origin, name: str) -> bool:
    held = 0
    for piece in origin.pieces(origin.one(name), 1 << 20):
        held += len(piece)
        if held > LARGE:
            return True
    return False


def _hundred_thousand() -> tuple[Table, ...]:
    item = ("movieId", "title", "released", "released_video", "imdb", *FLAGS)
    person = ("userId", "age", "gender", "occupation", "zip")
    return (
        _ratings("u.data", Delimited("\t", RATINGS, quoted=False)),
        Table("items", "u.item", _bars(item), _movie(_flags())),
        Table("users", "u.user", _bars(person), _person()),
    )


def _bars(header: tuple[str, ...]) -> Delimited:
    return Delimited("|", header, quoted=False, encoding="latin-1")


def _dat(*, people: bool) -> tuple[Table, ...]:
    """1M, in Latin-1 and with users, and 10M, in UTF-8 and without."""
    encoding = "latin-1" if people else "utf-8"

    def form(header: tuple[str, ...]) -> Delimited:
        return Delimited("::", header, quoted=False, encoding=encoding)

    tables = (
        _ratings("ratings.dat", form(RATINGS)),
        Table("items", "movies.dat", form(MOVIES), _movie(_genres())),
    )
    users = Table("users", "users.dat", form(("userId", *USERS)), _person())
    return (*tables, users) if people else tables


def _ratings(file: str, form: Delimited) -> Table:
    made = (
        columns.whole_id("user_id", "userId"),
        columns.whole_id("item_id", "movieId"),
        columns.moment("timestamp", unit="s"),
        columns.weight("rating"),
    )
    return Table("interactions", file, form, made)


def _movie(genres: Column) -> tuple[Column, ...]:
    year = pl.col("title").str.extract(YEAR).cast(pl.Int64, strict=False)
    return (
        columns.whole_id("item_id", "movieId"),
        columns.text("title", "title"),
        genres,
        columns.made("year", "title", year),
    )


def _genres() -> Column:
    return columns.split("category", "genres", "|", absent=NO_GENRES)


def _flags() -> Column:
    """The genres of 100K, a column of 0 or 1 each."""
    named = [pl.when(pl.col(flag) == "1").then(pl.lit(flag)) for flag in FLAGS]
    return columns.made("category", FLAGS, pl.concat_list(named).list.drop_nulls())


def _person() -> tuple[Column, ...]:
    return (
        columns.whole_id("user_id", "userId"),
        columns.text("gender", "gender"),
        columns.number("age", "age"),
        columns.text("occupation", "occupation"),
        columns.text("zip", "zip"),
    )

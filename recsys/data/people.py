"""Attributes of users as codes: what the user tower reads and what makes newcomers' segments.

Text, booleans and numbers of few values are codes by frequency; other numbers fall into bands of
about equal size. Lists and times are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from polars import selectors

from recsys.user_columns import UserColumn
from recsys.vocabulary import Vocabulary

Rows = npt.NDArray[np.int64]
BANDS = 10  # of a column of numbers with more distinct values than that


@dataclass(frozen=True)
class People:
    """What is known of the users of a table.

    Attributes:
        users: all of them.
        codes: `[U, C]` each one's value in each column, -1 for none that is told apart.
    """

    users: Vocabulary
    codes: Rows

    def of(self, user_ids: Sequence[str]) -> Rows:
        """`[n, C]` codes of these users; -1 in all columns for those whom the table lacks."""
        rows = self.users.rows(user_ids)
        found = np.full((len(rows), self.codes.shape[1]), -1, np.int64)
        found[rows >= 0] = self.codes[rows[rows >= 0]]
        return found


def columns(
    users: pl.DataFrame, names: Sequence[str], most_values: int, fewest: int = 1
) -> tuple[UserColumn, ...]:
    """What the columns of a table tell apart.

    Args:
        users: `user_id` and attributes.
        names: of columns; those that the table lacks are left out. None named: all.
        most_values: of a column, by number of users.
        fewest: users who share a value, or nobody is told apart by it.
    """
    usable = selectors.string() | selectors.numeric() | selectors.boolean()
    frame = users.select(usable).drop("user_id", strict=False)
    found = (
        _column(frame[name], most_values, fewest)
        for name in names or frame.columns
        if name in frame.columns
    )
    return tuple(column for column in found if column.size)


def coded(users: pl.DataFrame, known: Sequence[UserColumn]) -> People:
    """The users of a table by these columns; a column that it lacks says nothing."""
    codes = np.full((len(users), len(known)), -1, np.int64)
    for place, column in enumerate(known):
        if column.name in users.columns:
            codes[:, place] = _codes(users[column.name], column)
    return People(Vocabulary(users["user_id"]), codes)


def _column(values: pl.Series, most: int, fewest: int) -> UserColumn:
    if values.dtype.is_numeric() and values.n_unique() > BANDS:
        numbers = values.cast(pl.Float64).drop_nans().drop_nulls().to_numpy()
        inner = np.quantile(numbers, np.arange(1, BANDS) / BANDS, method="higher")
        edges = np.unique(inner[np.isfinite(inner) & (inner > numbers.min())])
        return UserColumn(name=values.name, edges=tuple(edges.tolist()))
    counts = _texts(values).drop_nulls().value_counts(sort=False)
    counts = counts.filter(pl.col("count") >= fewest).sort(
        pl.col("count"), pl.col(values.name), descending=[True, False]
    )
    return UserColumn(name=values.name, values=tuple(counts.head(most)[values.name]))


def _codes(values: pl.Series, column: UserColumn) -> Rows:
    if not column.edges:
        return Vocabulary(column.values).rows(_texts(values))
    if not values.dtype.is_numeric():
        return np.full(len(values), -1, np.int64)
    numbers = values.cast(pl.Float64).to_numpy()
    bands = np.searchsorted(np.array(column.edges), numbers, side="right")
    return np.where(np.isnan(numbers), -1, bands)


def _texts(values: pl.Series) -> pl.Series:
    """Whole numbers read the same whether they are stored as such or not: 1, not 1.0."""
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        same = (whole.cast(pl.Float64) == values).fill_null(value=False)
        texts = values.fill_nan(None).cast(pl.String)
        return texts.zip_with(~same, whole.cast(pl.String))
    return values.cast(pl.String)

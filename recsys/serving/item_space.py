"""The item space: items nearest to a query or to another item, by a measure and under filters.

`recsys search`, `recsys similar` and the explorer ask it. Every measure is an inner product of
placed vectors, so that one index serves them all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.errors import InputFault, UsageFault, near
from recsys.serving import candidates, exact, index
from recsys.serving.index import Index
from recsys.serving.index_settings import IndexSettings

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Measure = Literal["cosine", "euclidean", "co-consumption"]


@dataclass(frozen=True)
class Filters:
    """Which items may be found.

    Attributes:
        categories: names, of which an item has to have one; empty for any.
        min_price, max_price: bounds, inclusive; items without a price lie outside of them.
        available: only what is available.
    """

    categories: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    available: bool = True

    def allowed(self, items: pl.DataFrame) -> Mask:
        """bool `[N]` by row of the catalogue.

        Raises:
            UsageFault: no item has such a category, or the bounds are no range.
        """
        low, high = self.min_price, self.max_price
        if low is not None and high is not None and low > high:
            raise UsageFault(
                "the lowest price is above the highest", value=f"{low:g} > {high:g}",
                where="--min-price, --max-price", fix="exchange them",
            )  # fmt: skip
        passes = pl.lit(True)
        if self.categories:
            _known(self.categories, items["category"])
            passes &= pl.col("category").list.set_intersection(list(self.categories)).list.len() > 0
        if low is not None:
            passes &= pl.col("price") >= low
        if high is not None:
            passes &= pl.col("price") <= high
        if self.available:
            passes &= pl.col("available")
        kept = items.with_columns(passes=passes)["passes"].fill_null(False)
        return kept.to_numpy().astype(np.bool_)


@dataclass(frozen=True)
class ItemSpace:
    """Vectors of all items and an index over those that can be found.

    Attributes:
        vectors: `[N, D]`, those of the item tower.
        measure: what near means.
        metric: `[D, D]` of the measure co-consumption, else None.
        index: over the placed vectors.
        exact: its exact twin where it is approximate, which fills what a filter leaves open.
    """

    vectors: Vectors
    measure: Measure
    metric: Vectors | None
    index: Index
    exact: Index | None

    def nearest(
        self, queries: Vectors, k: int, allowed: Mask | None = None
    ) -> tuple[Rows, Vectors]:
        """The k nearest items of each query, best first.

        Args:
            queries: `[q, D]` vectors of the item tower.
            k: how many; fewer only where no more are allowed.
            allowed: bool `[N]`, None for all.

        Returns:
            rows `[q, k]`, -1 behind the last; scores, higher is nearer, -inf there: a cosine, or
            the Euclidean distance with a minus.
        """
        asked = self._asked(queries)
        rows, scores = self.index.search(asked, k, allowed)
        wanted = min(k, len(self.index) if allowed is None else allowed[self.index.rows].sum())
        short = (rows >= 0).sum(axis=1) < wanted
        if self.exact is not None and short.any():
            rows[short], scores[short] = self.exact.search(asked[short], k, allowed)
        if self.measure == "euclidean":
            lengths = np.square(queries).sum(axis=1, keepdims=True)
            scores = -np.sqrt(np.maximum(lengths - 2 * scores, 0))
        return rows, scores

    def similar(self, row: int, k: int, allowed: Mask | None = None) -> tuple[Rows, Vectors]:
        """The k items nearest to the item of a row, itself left out: rows `[k]`, scores `[k]`."""
        allowed = np.ones(len(self.vectors), np.bool_) if allowed is None else allowed.copy()
        allowed[row] = False
        rows, scores = self.nearest(self.vectors[row][None], k, allowed)
        return rows[0], scores[0]

    def _asked(self, queries: Vectors) -> Vectors:
        if self.measure == "euclidean":  # q . v - |v|^2 / 2 is largest where |q - v| is smallest
            return np.concatenate([queries, np.ones((len(queries), 1), np.float32)], axis=1)
        return _placed(queries, self.measure, self.metric)


def build(
    vectors: Vectors,
    rows: Rows,
    checksum: str,
    settings: IndexSettings,
    measure: Measure = "cosine",
    metric: Vectors | None = None,
    aside: Path | None = None,
) -> ItemSpace:
    """An item space.

    Args:
        vectors: `[N, D]` of all items.
        rows: those that can be found, ascending.
        checksum: of the catalogue's vocabulary.
        settings: of the index.
        measure: what near means; for unit vectors cosine and Euclidean order alike.
        metric: for co-consumption, see `co_consumption.fit`.
        aside: as in `index.build`.

    Raises:
        InputFault: a vector is zero or not finite.
        ValueError: co-consumption without a metric.
    """
    placed = _placed(vectors[rows], measure, metric)
    built = index.build(placed, rows, checksum, settings, exact.FEW, aside)
    return ItemSpace(vectors, measure, metric, built, candidates.exact_twin(placed, built, aside))


def _placed(vectors: Vectors, measure: Measure, metric: Vectors | None) -> Vectors:
    match measure:
        case "cosine":
            return _unit(vectors)
        case "euclidean":
            halves = -np.square(vectors).sum(axis=1, keepdims=True) / 2
            return np.concatenate([vectors, halves], axis=1).astype(np.float32)
        case "co-consumption":
            if metric is None:
                raise ValueError("co-consumption needs a metric")
            return _unit(_unit(vectors) @ metric)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def _known(wanted: tuple[str, ...], column: pl.Series) -> None:
    """Refuses categories that no item has, and names near ones."""
    known = sorted(column.explode().drop_nulls().unique().to_list())
    for name in wanted:
        if name in known:
            continue
        some = near(name, known) or known[:5]
        raise UsageFault(
            "no item has this category", value=name, where="--category",
            fix=f"such as {', '.join(some)}" if some else "the catalogue has no categories",
        )  # fmt: skip


def require_some(rows: Rows, what: str) -> None:
    """Refuses a space without items.

    Raises:
        InputFault: `rows` is empty; says why.
    """
    if not len(rows):
        raise InputFault(f"no item can be found: {what}", where="the item space",
                         fix="train on a log that has events of these items")  # fmt: skip

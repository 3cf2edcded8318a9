"""Nearest items to a vector by inner product, the measure that the towers were trained with.

Built each night over the items that may be listed; the candidates ask it.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from recsys import devices
from recsys.errors import InputFault, MismatchFault
from recsys.evaluation.lists import RowSets
from recsys.serving import index_parts
from recsys.serving.exact import QUERIES, Exact
from recsys.serving.index_parts import Parts
from recsys.serving.index_settings import FEWEST, REFINED, IndexSettings

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
METRIC = "inner_product"


@dataclass(frozen=True)
class Index:
    """A built index; its positions stand for catalogue rows.

    Attributes:
        rows: `[n]` catalogue row of each position.
        width: D.
        checksum: of the vocabulary that the rows belong to.
        settings: that it was built with.
        found_by: what searches, by position.
    """

    rows: Rows
    width: int
    checksum: str
    settings: IndexSettings
    found_by: Exact | Parts

    def __len__(self) -> int:
        return len(self.rows)

    @functools.cached_property
    def _places(self) -> Rows:
        """The position of each catalogue row that the index holds; 0 for the others."""
        places = np.zeros(int(self.rows[-1]) + 1, np.int64)
        places[self.rows] = np.arange(len(self))
        return places

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: Mask | None = None,
        hidden: RowSets | None = None,
    ) -> tuple[Rows, Vectors]:
        """The k best items of each query, best first; equal scores stand in row order.

        Args:
            queries: `[q, D]` finite.
            k: how many; fewer come back where the index holds or finds fewer.
            allowed: bool by catalogue row, `[N]`; only these are found. None allows all.
            hidden: rows of the index that a query does not find; for exact search only.

        Returns:
            rows `[q, k]`, -1 where nothing was found, and inner products, -inf there.

        Raises:
            MismatchFault: queries are of another width than the index.
            InputFault: a query is not finite.
        """
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise MismatchFault(
                "queries and index differ in width",
                value=f"{queries.shape[-1]} and {self.width}", where="the index",
                fix="build the index with the model that makes the queries",
            )  # fmt: skip
        if not np.isfinite(queries).all():
            bad = int((~np.isfinite(queries).all(axis=1)).sum())
            raise InputFault("queries are not finite", value=f"{bad} of {len(queries)}",
                             where="the index", fix="look for a diverged model")  # fmt: skip
        here = None if allowed is None else allowed[self.rows]
        if isinstance(self.found_by, Exact):
            scores, places = self._exact(self.found_by, queries, k, here, hidden)
        else:
            scores, places = self.found_by.search(queries, k, here, self.settings)
        rows = np.full((len(queries), max(k, scores.shape[1])), -1, np.int64)
        padded = np.full(rows.shape, -np.inf, np.float32)
        width = scores.shape[1]
        padded[:, :width] = scores
        rows[:, :width] = np.where(np.isfinite(scores), self.rows[places], -1) if width else -1
        # equal scores are found in any order, and what is not allowed leaves gaps
        mixed = np.flatnonzero((padded[:, 1:] >= padded[:, :-1]).any(axis=1))
        order = np.lexsort((rows[mixed], -padded[mixed]), axis=1)
        rows[mixed] = np.take_along_axis(rows[mixed], order, 1)
        padded[mixed] = np.take_along_axis(padded[mixed], order, 1)
        return rows[:, :k], padded[:, :k]

    def _exact(
        self,
        searched: Exact,
        queries: Vectors,
        k: int,
        allowed: Mask | None,
        hidden: RowSets | None,
    ) -> tuple[Vectors, Rows]:
        if not len(queries) or not len(self):
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        pairs = None
        if hidden is not None:
            pairs = (hidden.users(), self._places[hidden.rows])
        return searched.search(queries, min(k, len(self)), allowed, pairs)


def build(
    vectors: Vectors,
    rows: Rows,
    checksum: str,
    settings: IndexSettings,
    queries: int = QUERIES,
    aside: Path | None = None,
    table: Exact | None = None,
) -> Index:
    """Builds an index.

    Args:
        vectors: `[n, D]` item vectors.
        rows: `[n]` their catalogue rows, ascending.
        checksum: of the catalogue's vocabulary.
        settings: which index; auto, without queries to tune on, is exact: see `index_tuning`.
        queries: that exact search multiplies at a time; `exact.FEW` where single ones are asked.
        aside: a folder for what is large: it lies in files without names; None for memory.
        table: of these vectors, where there is one already.

    Raises:
        InputFault: a vector is not finite or zero; says which.
        ResourceFault: there is no room in the folder.
        UsageFault: the settings name a device that is not there.
    """
    _refuse_unusable(vectors, rows)
    count, width = vectors.shape
    there = devices.chosen(settings.device, "lists.index.device")
    device = None if there.type == "cpu" else there
    kind = settings.kind
    if kind == "auto" or not count or (kind in REFINED and count < FEWEST):
        kind = "exact"
    settings = settings.model_copy(update={"kind": kind})
    vectors = np.ascontiguousarray(vectors, np.float32)
    if table is None and kind in {"exact", *REFINED}:
        table = Exact(vectors, queries, device, aside)
    if table is not None and kind == "exact":
        return Index(rows, width, checksum, settings, table)
    table = table if kind in REFINED else None
    parts = index_parts.build(vectors, settings, device, aside, table)
    return Index(rows, width, checksum, settings, parts)


def clustered(vectors: Vectors, count: int, seed: int) -> tuple[Rows, Vectors]:
    """Spherical k-means: the cluster of each vector `[n]` and unit centres `[count, D]`.

    Args:
        vectors: `[n, D]`, of length 1.
        count, seed: of clusters, at most n; of the first centres.
    """
    library: Any = faiss  # its type stubs lack what its wrappers add
    options = {"niter": 25, "seed": seed, "spherical": True, "min_points_per_centroid": 1}
    made = library.Kmeans(vectors.shape[1], count, **options)
    vectors = np.ascontiguousarray(vectors, np.float32)
    made.train(vectors)
    _, nearest = made.index.search(vectors, 1)
    return nearest[:, 0], made.centroids


def _refuse_unusable(vectors: Vectors, rows: Rows) -> None:
    squares = np.einsum("nd,nd->n", vectors, vectors)  # without another array of their size
    bad = ~np.isfinite(squares) | (squares == 0)
    if bad.any():
        raise InputFault(
            f"{int(bad.sum())} of {len(vectors)} item vectors are zero or not finite",
            value=f"catalogue rows {', '.join(map(str, rows[bad][:10]))}", where="the index",
            fix="look for features that are not finite, or an older model",
        )  # fmt: skip

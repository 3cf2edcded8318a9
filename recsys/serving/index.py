"""Nearest items to a vector by inner product, the measure that the towers were trained with.

Built each night over the items that may be listed; the candidates ask it. faiss is imported here
and where indexes are written and read.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsys.errors import InputFault, MismatchFault
from recsys.evaluation.lists import RowSets
from recsys.serving.exact import QUERIES, Exact
from recsys.settings import Section

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
METRIC = "inner_product"


Kind = Literal["auto", "exact", "sq8", "pq", "ivf", "ivf_pq", "hnsw"]
FEWEST = 64  # items that 4-bit codes can be learned from
REFINED = ("pq", "ivf_pq")  # these rescore what they find by the vectors themselves


class IndexSettings(Section):
    """Which index answers."""

    kind: Kind = Field(
        "exact",
        description="exact search (best to about 100,000 items on a CPU); 8-bit codes; 4-bit codes "
        "and a second look; IVF, and IVF over 4-bit codes; HNSW; auto: the cheapest of these that "
        "reaches the wanted recall on the night's own vectors",
    )
    recall: float = Field(
        0.99, gt=0, le=1, description="auto: share of the exact candidates that must be found"
    )
    memory_mb: int = Field(0, ge=0, description="auto: size of the index, in MB; 0 for any")
    lists: int = Field(0, ge=0, description="ivf: inverted lists; 0 takes 4 * sqrt(items)")
    probes: int = Field(16, ge=1, description="ivf: lists that a query looks into")
    refine: float = Field(
        4.0, ge=1, le=1000, description="4-bit codes: items rescored for each one asked for"
    )
    neighbours: int = Field(32, ge=2, le=256, description="hnsw: links per item")
    build_effort: int = Field(100, ge=8, description="hnsw: candidates looked at while building")
    search_effort: int = Field(128, ge=8, description="hnsw: candidates looked at in a search")


@dataclass(frozen=True)
class Index:
    """A built index; its positions stand for catalogue rows.

    Attributes:
        rows: `[n]` catalogue row of each position.
        width: D.
        checksum: of the vocabulary that the rows belong to.
        settings: that it was built with.
    """

    rows: Rows
    width: int
    checksum: str
    settings: IndexSettings
    _index: Any

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
        if isinstance(self._index, Exact):
            scores, places = self._exact(queries, k, allowed, hidden)
        else:
            scores, places = self._approximate(queries, k, allowed)
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
        self, queries: Vectors, k: int, allowed: Mask | None, hidden: RowSets | None
    ) -> tuple[Vectors, Rows]:
        if not len(queries) or not len(self):
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        pairs = None
        if hidden is not None:
            pairs = (hidden.users(), self._places[hidden.rows])
        here = None if allowed is None else allowed[self.rows]
        searched: Exact = self._index
        return searched.search(queries, min(k, len(self)), here, pairs)

    def _approximate(self, queries: Vectors, k: int, allowed: Mask | None) -> tuple[Vectors, Rows]:
        found = min(k, len(self))
        selector = None
        if allowed is not None and self.settings.kind in REFINED:
            found = min(4 * k, len(self))  # these take no selector: what is not allowed falls out
        elif allowed is not None:
            library: Any = faiss  # its type stubs lack what its wrappers add
            bits = np.packbits(allowed[self.rows], bitorder="little")
            selector = library.IDSelectorBitmap(bits)
        padded = np.pad(queries, ((0, 0), (0, self._index.d - self.width)))
        scores, places = self._index.search(
            np.ascontiguousarray(padded), found, params=_effort(self.settings, selector)
        )
        good = places >= 0
        if allowed is not None:
            good &= allowed[self.rows[places]]
        return np.where(good, scores, -np.inf), places


def build(
    vectors: Vectors, rows: Rows, checksum: str, settings: IndexSettings, queries: int = QUERIES
) -> Index:
    """Builds an index.

    Args:
        vectors: `[n, D]` item vectors.
        rows: `[n]` their catalogue rows, ascending.
        checksum: of the catalogue's vocabulary.
        settings: which index; auto, without queries to tune on, is exact: see `index_tuning`.
        queries: that exact search multiplies at a time; `exact.FEW` where single ones are asked.

    Raises:
        InputFault: a vector is not finite or zero; says which.
    """
    _refuse_unusable(vectors, rows)
    count, width = vectors.shape
    kind = settings.kind
    if kind == "auto" or not count or (kind in REFINED and count < FEWEST):
        kind = "exact"
    settings = settings.model_copy(update={"kind": kind})
    if kind in REFINED and width % 2:  # codes of two numbers each
        vectors = np.pad(vectors, ((0, 0), (0, 1)))
    vectors = np.ascontiguousarray(vectors, np.float32)
    if kind == "exact":
        return Index(rows, width, checksum, settings, Exact(vectors, queries))
    index = _empty(settings, count, vectors.shape[1])
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return Index(rows, width, checksum, settings, index)


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


def _empty(settings: IndexSettings, count: int, width: int) -> Any:
    """An index without vectors, for `count` of them."""
    metric = faiss.METRIC_INNER_PRODUCT
    lists = min(settings.lists or max(1, int(4 * count**0.5)), max(1, count // 39))
    index: Any
    match settings.kind:
        case "sq8":
            return faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, metric)
        case "pq":
            index = faiss.IndexPQFastScan(width, width // 2, 4, metric)
            return faiss.IndexRefineFlat(index)
        case "ivf":
            index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, metric)
        case "ivf_pq":
            coarse = faiss.IndexFlatIP(width)
            index = faiss.IndexIVFPQFastScan(coarse, width, lists, width // 2, 4, metric)
            return faiss.IndexRefineFlat(index)
        case "hnsw":
            index = faiss.IndexHNSWFlat(width, settings.neighbours, metric)
            index.hnsw.efConstruction = settings.build_effort
        case _:
            raise ValueError(f"{settings.kind} is no faiss index")
    return index


def _effort(settings: IndexSettings, selector: Any) -> Any:
    """Search parameters: how much is looked at, and which items may be found."""
    library: Any = faiss
    match settings.kind:
        case "ivf":
            return library.SearchParametersIVF(sel=selector, nprobe=settings.probes)
        case "hnsw":
            return library.SearchParametersHNSW(sel=selector, efSearch=settings.search_effort)
        case "pq":
            return library.IndexRefineSearchParameters(k_factor=settings.refine)
        case "ivf_pq":
            inner = library.SearchParametersIVF(nprobe=settings.probes)
            return library.IndexRefineSearchParameters(
                k_factor=settings.refine, base_index_params=inner
            )
        case _:
            return library.SearchParameters(sel=selector) if selector else None


def _refuse_unusable(vectors: Vectors, rows: Rows) -> None:
    squares = np.einsum("nd,nd->n", vectors, vectors)  # without another array of their size
    bad = ~np.isfinite(squares) | (squares == 0)
    if bad.any():
        raise InputFault(
            f"{int(bad.sum())} of {len(vectors)} item vectors are zero or not finite",
            value=f"catalogue rows {', '.join(map(str, rows[bad][:10]))}", where="the index",
            fix="look for features that are not finite, or an older model",
        )  # fmt: skip

"""Approximate search by faiss, in parts over consecutive stretches of many items.

A part is the bytes that faiss writes, opened where they lie: in a file, mapped, so that they need
not stay in memory; or in memory that the processes of a node share. All parts have one coarse
quantizer and the same codes, learned from a sample of all items; so they find what one index would.
Used by the index.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import torch

from recsys import memory
from recsys.serving.exact import Exact
from recsys.serving.index_settings import REFINED, IndexSettings

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
FAISS = str(faiss.__version__)  # the same input may give other parts by another one
LISTED = ("ivf", "ivf_pq")
WHOLE = 1 << 20  # items from which a sample is learned from:
SAMPLE, POINTS = 1 << 16, 64  # so many, or so many for each list
_opening = threading.Lock()
library: Any = faiss  # its type stubs lack what its wrappers add


class Parts:
    """A built index: what faiss wrote of each part, and the vectors where codes need rescoring.

    Pickled as plain arrays, which processes of a node can share.

    Args:
        files: of the parts, in the order of their items.
        table: of all items, for kinds that are `REFINED`; else None.

    Raises:
        RuntimeError: they are not what faiss wrote.
    """

    def __init__(self, files: tuple[Bytes, ...], table: Exact | None) -> None:
        self.__setstate__((files, table))

    def __getstate__(self) -> tuple[tuple[Bytes, ...], Exact | None]:
        return self.files, self.table

    def __setstate__(self, state: tuple[tuple[Bytes, ...], Exact | None]) -> None:
        self.files, self.table = state
        self._parts = [_opened(file) for file in self.files]
        self._starts = np.cumsum([0, *(part.ntotal for part in self._parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def width(self) -> int:
        """Of the vectors in it: D, or one more where codes of two numbers each need it."""
        return int(self._parts[0].d)

    @property
    def by_inner_product(self) -> bool:
        """Whether every part compares by it."""
        wanted = faiss.METRIC_INNER_PRODUCT
        return all(part.metric_type == wanted for part in self._parts)

    def search(
        self, queries: Vectors, k: int, allowed: Mask | None, settings: IndexSettings
    ) -> tuple[Vectors, Rows]:
        """Scores `[q, k]` and places `[q, k]` of the best that are found, unordered; -1 for none.

        Args:
            queries: `[q, D]`.
            k: at most n.
            allowed: bool `[n]`; None for all.
            settings: the kind it was built as, and the effort.
        """
        library.omp_set_num_threads(torch.get_num_threads())  # who asks may have one core of many
        wide = np.ascontiguousarray(np.pad(queries, ((0, 0), (0, self.width - queries.shape[1]))))
        refined = settings.kind in REFINED
        # codes take no selector: what is not allowed falls out
        wanted = min(k if allowed is None or not refined else 4 * k, len(self))
        found = min(int(wanted * settings.refine), len(self)) if refined else wanted
        asked = self._asked(wide, settings)
        parts = []
        for start, part in zip(self._starts, self._parts, strict=False):
            here = None if refined or allowed is None else allowed[start : start + part.ntotal]
            scores, places = asked(part, min(found, part.ntotal), here)
            parts.append((scores, np.where(places < 0, -1, places + start)))
        scores, places = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
        scores, places = _best(scores, places, found)
        if refined and self.table is not None:
            if allowed is not None:
                places = np.where((places >= 0) & allowed[places], places, -1)
            scores = _rescored(self.table.vectors, queries, places)
        return _best(np.where(places < 0, -np.inf, scores), places, k)

    def _asked(
        self, queries: Vectors, settings: IndexSettings
    ) -> Callable[[Any, int, Mask | None], tuple[Vectors, Rows]]:
        """A search of one part; lists are chosen once for all of them."""
        if settings.kind not in LISTED:
            return lambda part, k, allowed: part.search(
                queries, k, params=_effort(settings, _selector(allowed))
            )
        coarse = self._parts[0]
        probes = min(settings.probes, coarse.nlist)
        nearness, lists = coarse.quantizer.search(queries, probes)

        def search(part: Any, k: int, allowed: Mask | None) -> tuple[Vectors, Rows]:
            chosen = library.SearchParametersIVF(sel=_selector(allowed), nprobe=probes)
            scores = np.empty((len(queries), k), np.float32)
            places = np.empty((len(queries), k), np.int64)
            given = map(library.swig_ptr, (lists, nearness, scores, places))
            part.search_preassigned_c(
                len(queries), library.swig_ptr(queries), k, *given, False, chosen
            )
            return scores, places

        return search


def build(
    vectors: Vectors,
    settings: IndexSettings,
    device: torch.device | None = None,
    aside: Path | None = None,
    table: Exact | None = None,
) -> Parts:
    """An index in as many parts as `shard_items` says.

    Args:
        vectors: `[n, D]` finite, n > 0.
        settings: of an approximate kind.
        device: a GPU, which fills inverted lists where faiss can use it; None for the processor.
        aside: folder for the parts, as `memory.written`; None for memory.
        table: of these vectors, for kinds that are `REFINED`.
    """
    count, width = vectors.shape
    wide = width + (width % 2 if settings.kind in REFINED else 0)  # codes of two numbers each
    empty = _empty(settings, count, wide)
    if not empty.is_trained:
        sample = _widened(_sample(vectors, empty), wide)
        empty = _done(empty, lambda index: index.train(sample), device)
    size = settings.shard_items
    stretches = (vectors[start : start + size] for start in range(0, count, size))
    files = (_filled(empty, _widened(stretch, wide), device, aside) for stretch in stretches)
    return Parts(tuple(files), table)


def _filled(empty: Any, vectors: Vectors, device: torch.device | None, aside: Path | None) -> Bytes:
    """What faiss writes of the trained index with these vectors."""
    part = _done(library.clone_index(empty), lambda index: index.add(vectors), device)
    return memory.written(lambda path: library.write_index(part, path), aside)


def _empty(settings: IndexSettings, count: int, width: int) -> Any:
    """An index without vectors, for `count` of them in all parts together."""
    metric = faiss.METRIC_INNER_PRODUCT
    lists = min(settings.lists or max(1, int(4 * count**0.5)), max(1, count // 39))
    match settings.kind:
        case "sq8":
            return faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, metric)
        case "pq":
            return faiss.IndexPQFastScan(width, width // 2, 4, metric)
        case "ivf":
            return faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, metric)
        case "ivf_pq":
            coarse = faiss.IndexFlatIP(width)
            return faiss.IndexIVFPQFastScan(coarse, width, lists, width // 2, 4, metric)
        case "hnsw":
            index = faiss.IndexHNSWFlat(width, settings.neighbours, metric)
            index.hnsw.efConstruction = settings.build_effort
            return index
        case _:
            raise ValueError(f"{settings.kind} is no faiss index")


def _sample(vectors: Vectors, empty: Any) -> Vectors:
    """What to train on, however many parts there are; of few, all: faiss draws from them itself."""
    wanted = max(SAMPLE, POINTS * getattr(empty, "nlist", 0))
    if len(vectors) <= max(WHOLE, wanted):
        return vectors
    drawn = np.random.default_rng(0).choice(len(vectors), wanted, replace=False, shuffle=False)
    return vectors[np.sort(drawn)]


def _widened(vectors: Vectors, width: int) -> Vectors:
    if width > vectors.shape[1]:
        vectors = np.pad(vectors, ((0, 0), (0, width - vectors.shape[1])))
    return np.ascontiguousarray(vectors, np.float32)


def _done(index: Any, work: Callable[[Any], object], device: torch.device | None) -> Any:
    """The index after the work, which a GPU does where faiss can use one for this kind."""
    if device is None or not isinstance(index, faiss.IndexIVFFlat) or not library.get_num_gpus():
        work(index)
        return index
    there = library.index_cpu_to_all_gpus(index)
    work(there)
    return library.index_gpu_to_cpu(there)


def _opened(file: Bytes) -> Any:
    """The index in these bytes, which it goes on reading."""
    with _opening:  # the limit is that of the process
        # a damaged header may claim a terabyte; tables of codes take 8 times their file's centres
        faiss.set_deserialization_vector_byte_limit((1 << 20) + 10 * file.size)
        reader = library.ZeroCopyIOReader(library.swig_ptr(file), file.size)
        return library.read_index(reader, faiss.IO_FLAG_MMAP_IFC)


def _selector(allowed: Mask | None) -> Any:
    if allowed is None:
        return None
    return library.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _effort(settings: IndexSettings, selector: Any) -> Any:
    """Search parameters of kinds without lists."""
    if settings.kind == "hnsw":
        return library.SearchParametersHNSW(sel=selector, efSearch=settings.search_effort)
    return library.SearchParameters(sel=selector) if selector else None


def _rescored(vectors: Vectors, queries: Vectors, places: Rows) -> Vectors:
    """Inner products of each query with its places; -inf for -1."""
    queries, places = np.ascontiguousarray(queries), np.ascontiguousarray(places)
    scores = np.empty(places.shape, np.float32)
    given = map(library.swig_ptr, (scores, queries, vectors, places))
    library.fvec_inner_products_by_idx(*given, vectors.shape[1], *places.shape)
    return scores


def _best(scores: Vectors, places: Rows, k: int) -> tuple[Vectors, Rows]:
    """The k best of each query, in any order."""
    if scores.shape[1] <= k:
        return scores, places
    at = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return np.take_along_axis(scores, at, 1), np.take_along_axis(places, at, 1)

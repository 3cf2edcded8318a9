"""Exact search: all inner products in blocks, and of these the best, never sorting them in full.

Picking is dearer than multiplying: so the best groups of items are picked first, by their maximum,
and then the best of their members; the k best items lie in at most k groups. Used by the index.
"""

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recsys import memory
from recsys.models.precision import products_are_float32, quick_products

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
MEMBERS = 16  # of a group
SCORES = 1 << 26  # scores held at a time, 256 MB
ON_GPU = 8  # times as many scores, 2 GB, and queries of a block
QUERIES = 64  # of a block at most; always as many, for how a product rounds depends on its shape
FEW = 8  # where single queries are asked
_held = threading.local()


class Exact:
    """All vectors, ready to be searched; as plain arrays, which processes of a node can share.

    Args:
        vectors: `[n, D]` finite.
        queries: of a block at most; few where single queries are asked and shall not wait.
        device: a GPU, which gets a copy of the table at the first search; None for the processor.
        aside: folder for a large table, as `memory.spilled`; None for memory.
    """

    def __init__(
        self,
        vectors: Vectors,
        queries: int = QUERIES,
        device: torch.device | None = None,
        aside: Path | None = None,
    ) -> None:
        count, width = vectors.shape
        rows = max(1, -(-count // MEMBERS)) * MEMBERS
        room = memory.spilled(4 * rows * width, aside, memory.LARGE)
        padded = room.view(np.float32).reshape(rows, width)
        padded[:count], padded[count:] = vectors, 0
        self.__setstate__((padded, count, queries, device))

    @classmethod
    def of_table(cls, padded: Vectors, count: int) -> "Exact":
        """Of another one's table, without copying it; on the processor.

        Raises:
            ValueError: it is no table of so many vectors.
        """
        if padded.dtype != np.float32 or padded.ndim != 2 or count > len(padded):
            raise ValueError(f"{padded.dtype} {padded.shape} does not hold {count} vectors")
        made = cls.__new__(cls)
        made.__setstate__((padded, count, QUERIES, None))
        return made

    def __getstate__(self) -> tuple[Vectors, int, int, torch.device | None]:
        return self.table, self._count, self._queries, self._device

    def __setstate__(self, state: tuple[Vectors, int, int, torch.device | None]) -> None:
        self.table, self._count, self._queries, self._device = state
        if self._device is not None and self._device.type == "cuda":
            # it may come from a process with a GPU
            self._device = self._device if torch.cuda.is_available() else None
        times = 1 if self._device is None else ON_GPU
        most = times * self._queries
        self._block = int(np.clip(times * SCORES // len(self.table), FEW, most))

    def __len__(self) -> int:
        return self._count

    @property
    def width(self) -> int:
        """D."""
        return int(self.table.shape[1])

    @property
    def vectors(self) -> Vectors:
        """`[n, D]`; the table ends with rows of zeros."""
        return self.table[: self._count]

    @functools.cached_property
    def _there(self) -> torch.Tensor:
        """The table, on its device."""
        return torch.from_numpy(self.table).to(self._device or "cpu")

    def search(
        self, queries: Vectors, k: int, allowed: Mask | None, hidden: tuple[Rows, Rows] | None
    ) -> tuple[Vectors, Rows]:
        """Scores `[q, k]` and places `[q, k]` of the k best, best first; -inf where there are none.

        Args:
            queries: `[q, D]`.
            k: at most n.
            allowed: bool `[n]`; None for all.
            hidden: pairs of a query's number, ascending, and a place that it must not find.
        """
        found = [
            self._of_block(queries, start, k, allowed, hidden)
            for start in range(0, len(queries), self._block)
        ]
        scores = np.concatenate([block[0] for block in found])
        return scores, np.concatenate([block[1] for block in found])

    @torch.inference_mode()
    def _of_block(
        self,
        queries: Vectors,
        start: int,
        k: int,
        allowed: Mask | None,
        hidden: tuple[Rows, Rows] | None,
    ) -> tuple[Vectors, Rows]:
        some = queries[start : start + self._block]
        full = torch.from_numpy(np.resize(some, (self._block, some.shape[1])))
        scores = self._products(full)[: len(some)]
        scores[:, self._count :] = -torch.inf
        if allowed is not None:
            gone = torch.from_numpy(~allowed).to(scores.device)
            scores[:, : len(allowed)][:, gone] = -torch.inf
        if hidden is not None:
            first, last = np.searchsorted(hidden[0], [start, start + len(some)])
            owners, places = (torch.from_numpy(column[first:last]) for column in hidden)
            scores[(owners - start).to(scores.device), places.to(scores.device)] = -torch.inf
        best, at = _best(scores, k, _largest if self._device is None else _largest_there)
        return best.cpu().numpy(), np.minimum(at.cpu().numpy(), self._count - 1)

    def _products(self, queries: torch.Tensor) -> torch.Tensor:
        if self._device is not None:
            return queries.to(self._device) @ self._there.T
        scores = _buffer((len(queries), len(self.table)))
        with quick_products(products_are_float32()):
            return torch.mm(queries, self._there.T, out=scores)


def _buffer(shape: tuple[int, int]) -> torch.Tensor:
    """Memory for a block of scores, kept by each thread: fresh pages cost more than products."""
    held: torch.Tensor | None = getattr(_held, "scores", None)
    if held is None or held.shape != shape:
        held = _held.scores = torch.empty(shape)
    return held


def _best(
    scores: torch.Tensor, k: int, largest: Callable[[torch.Tensor, int], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of each row, best first, and where they stand."""
    groups = scores.shape[1] // MEMBERS
    if groups < 2 * k:
        return scores.topk(k)
    tops = largest(scores.view(-1, MEMBERS, groups).amax(dim=1), k)
    steps = groups * torch.arange(MEMBERS, device=scores.device)
    members = (tops.unsqueeze(1) + steps.unsqueeze(1)).flatten(1)
    theirs = scores.gather(1, members)
    at = largest(theirs, k)
    best, order = theirs.gather(1, at).sort(descending=True)
    return best, members.gather(1, at.gather(1, order))


def _largest_there(values: torch.Tensor, k: int) -> torch.Tensor:
    """Where the k largest of each row stand, in any order; on a GPU, of equal ones any."""
    return values.topk(k, sorted=False).indices


def _largest(values: torch.Tensor, k: int) -> torch.Tensor:
    """The same on the processor, of equal ones the first.

    numpy finds a k-th value without moving places about, four times as fast as topk finds both.
    """
    every = values.numpy()
    least = np.partition(every, -k, axis=1)[:, -k, None]
    taken = every >= least
    at = np.flatnonzero(taken)
    if len(at) > len(every) * k:  # several are equal to a k-th
        tied = np.flatnonzero(np.bincount(at // every.shape[1]) > k)
        above, equal = every[tied] > least[tied], every[tied] == least[tied]
        wanted = k - above.sum(axis=1, keepdims=True)
        taken[tied] = above | (equal & (equal.cumsum(axis=1) <= wanted))
        at = np.flatnonzero(taken)
    return torch.from_numpy(at.reshape(-1, k) % every.shape[1])

"""Exact search: all inner products in blocks, and of these the best, never sorting them in full.

Picking is dearer than multiplying: so the best groups of items are picked first, by their maximum,
and then the best of their members; the k best items lie in at most k groups. Used by the index.
"""

import functools
import threading

import numpy as np
import numpy.typing as npt
import torch

from recsys.models.precision import quick_products

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
MEMBERS = 16  # of a group
SCORES = 1 << 26  # scores held at a time, 256 MB
QUERIES = 64  # of a block at most; always as many, for how a product rounds depends on its shape
FEW = 8  # where single queries are asked
_held = threading.local()


class Exact:
    """All vectors, ready to be searched; as plain arrays, which processes of a node can share.

    Args:
        vectors: `[n, D]` finite.
        queries: of a block at most; few where single queries are asked and shall not wait.
    """

    def __init__(self, vectors: Vectors, queries: int = QUERIES) -> None:
        groups = max(1, -(-len(vectors) // MEMBERS))
        missing = groups * MEMBERS - len(vectors)
        self._padded = np.pad(vectors, ((0, missing), (0, 0)))
        self._count = len(vectors)
        self._block = int(np.clip(SCORES // len(self._padded), FEW, queries))

    @property
    def vectors(self) -> Vectors:
        """`[n, D]`."""
        return self._padded[: self._count]

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
        full = np.resize(some, (self._block, some.shape[1]))
        with quick_products(products_are_float32()):
            scores = _buffer((self._block, len(self._padded)))
            torch.mm(torch.from_numpy(full), torch.from_numpy(self._padded).T, out=scores)
        scores = scores[: len(some)]
        scores[:, self._count :] = -torch.inf
        if allowed is not None:
            scores[:, : len(allowed)][:, torch.from_numpy(~allowed)] = -torch.inf
        if hidden is not None:
            first, last = np.searchsorted(hidden[0], [start, start + len(some)])
            owners, places = (torch.from_numpy(column[first:last]) for column in hidden)
            scores[owners - start, places] = -torch.inf
        best, at = _best(scores, k)
        return best.numpy(), np.minimum(at.numpy(), self._count - 1)


def _buffer(shape: tuple[int, int]) -> torch.Tensor:
    """Memory for a block of scores, kept by each thread: fresh pages cost more than products."""
    held: torch.Tensor | None = getattr(_held, "scores", None)
    if held is None or held.shape != shape:
        held = _held.scores = torch.empty(shape)
    return held


def _best(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of each row, best first, and where they stand."""
    groups = scores.shape[1] // MEMBERS
    if groups < 2 * k:
        return scores.topk(k)
    tops = _largest(scores.view(-1, MEMBERS, groups).amax(dim=1), k)
    members = (tops.unsqueeze(1) + groups * torch.arange(MEMBERS).unsqueeze(1)).flatten(1)
    theirs = scores.gather(1, members)
    at = _largest(theirs, k)
    best, order = theirs.gather(1, at).sort(descending=True)
    return best, members.gather(1, at.gather(1, order))


def _largest(values: torch.Tensor, k: int) -> torch.Tensor:
    """Where the k largest of each row stand, in any order; of equal ones the first.

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


@functools.cache
def products_are_float32() -> bool:
    """Whether oneDNN multiplies in float32 on this processor when it may do less: it is tried."""
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randn(64, 64, generator=random) for _ in range(2))
    with quick_products():
        error = (one @ other - one.double() @ other.double()).abs().max()
    return bool(error < 1e-4)

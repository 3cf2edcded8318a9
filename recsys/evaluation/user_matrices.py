"""Histories as sparse user x item matrices, for the baselines."""

import numpy as np
from scipy import sparse

from recsys.evaluation.lists import Floats, Sequences

# Small enough never to reorder items that a baseline tells apart, in float32 beside scores near 1.
POPULARITY_NUDGE = 1e-6


def recent(
    histories: Sequences, start: int, stop: int, n_items: int, last: int, decay: float
) -> sparse.csr_matrix:
    """Users `start:stop` as float32 `[stop - start, N]`: `decay**j` at the j-th event from the end.

    Only the `last` events of each user count (j from 0); repeats of an item add up.
    """
    offsets = histories.offsets[start : stop + 1]
    sizes = np.diff(offsets)
    users = np.repeat(np.arange(stop - start), sizes)
    from_end = np.repeat(offsets[1:], sizes) - 1 - np.arange(offsets[0], offsets[-1])
    kept = from_end < last
    values = np.power(decay, from_end[kept]).astype(np.float32)
    items = histories.items[offsets[0] : offsets[-1]][kept]
    return sparse.csr_matrix((values, (users[kept], items)), shape=(stop - start, n_items))


def binary(histories: Sequences, n_items: int) -> sparse.csr_matrix:
    """Who had what: float32 `[U, N]` of ones, each user's repeats counted once."""
    users = np.repeat(np.arange(len(histories.offsets) - 1), np.diff(histories.offsets))
    ones = np.ones(len(users), dtype=np.float32)
    shape = (len(histories.offsets) - 1, n_items)
    matrix = sparse.csr_matrix((ones, (users, histories.items)), shape=shape)
    matrix.data[:] = 1
    return matrix


def nudge(histories: Sequences, n_items: int) -> Floats:
    """A tiny popularity `[N]`: it orders what a baseline scores alike, and serves empty histories.

    At most `POPULARITY_NUDGE`.
    """
    counts = np.bincount(histories.items, minlength=n_items).astype(np.float64)
    tiny: Floats = counts * (POPULARITY_NUDGE / max(1.0, float(counts.max(initial=0.0))))
    return tiny

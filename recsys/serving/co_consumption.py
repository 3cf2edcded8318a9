"""A measure learned from what people take together: canonical correlation of pairs.

Called where `similar --by co-consumption` opens the item space.
"""

import numpy as np
import numpy.typing as npt

from recsys.data.histories import Histories, Integers

Vectors = npt.NDArray[np.float32]


def pairs(histories: Histories, within_seconds: float = 86_400.0) -> tuple[Integers, Integers]:
    """Items `[P]`, `[P]` that a user took one after the other within a time; never one twice."""
    same = np.ones(max(len(histories.items) - 1, 0), np.bool_)
    ends = histories.offsets[(histories.offsets > 0) & (histories.offsets <= len(same))]
    same[ends - 1] = False
    first, second = histories.items[:-1], histories.items[1:]
    same &= (np.diff(histories.times) <= within_seconds) & (first != second)
    return first[same], second[same]


def fit(vectors: Vectors, first: Integers, second: Integers, shrinkage: float = 0.1) -> Vectors:
    """`[D, D]` W such that `v @ W` is near for items that are taken together.

    Canonical directions of the pairs (Hotelling, 1936), each times the square root of its
    correlation: v W . u W = v S^-1/2 (S^-1/2 C S^-1/2) S^-1/2 u, with S the covariance of items
    and C that between both items of a pair. What pairs do not share counts nothing.

    Args:
        vectors: `[N, D]`, used at length 1.
        first, second: `[P]` rows of the pairs; without pairs W is the identity.
        shrinkage: share of the mean variance that is added to the diagonal of S.
    """
    width = vectors.shape[1]
    if not len(first):
        return np.eye(width, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float64)
    left = np.concatenate([unit[first], unit[second]])
    right = np.concatenate([unit[second], unit[first]])
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    spread = left.T @ left / len(left)
    spread += (shrinkage * np.trace(spread) / width + 1e-12) * np.eye(width)
    values, axes = np.linalg.eigh(spread)
    whiten = (axes / np.sqrt(values)) @ axes.T
    correlations, directions = np.linalg.eigh(whiten @ (left.T @ right / len(left)) @ whiten)
    scales = np.sqrt(np.maximum(correlations, 0))
    return np.asarray(whiten @ directions * scales, np.float32)

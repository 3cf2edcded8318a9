"""Whether lists and vectors look healthy, whatever their recall: the signs of a collapsed model.

Called by the model doctor.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.evaluation.lists import Rows

Floats = npt.NDArray[np.float64]
SAMPLE = 2000


@dataclass(frozen=True)
class ListHealth:
    """Attributes:
    popularity_lift: geometric mean of the listed items' events over that of the consumed ones'.
    same_list: share of users who have the most common set of items.
    """

    popularity_lift: float
    same_list: float


@dataclass(frozen=True)
class VectorHealth:
    """Attributes:
    mean_cosine: of two random vectors; near 1 all point one way.
    directions: effective rank, exp of the entropy of the variance by direction (Roy and
        Vetterli, 2007); near 1 all lie on a line.
    """

    mean_cosine: float
    directions: float


def of_lists(ranked: Rows, consumed: Rows, counts: Floats) -> ListHealth:
    """Compares what is listed with what users took.

    Args:
        ranked: `[U, K]` item rows, -1 behind the last.
        consumed: rows of the window's events.
        counts: `[N]` events per item.
    """
    logs = np.log1p(counts)
    listed = ranked[ranked >= 0]
    lift = np.exp(logs[listed].mean() - logs[consumed].mean()) if len(listed) else np.nan
    _, times = np.unique(np.sort(ranked, axis=1), axis=0, return_counts=True)
    return ListHealth(float(lift), float(times.max(initial=0) / max(1, len(ranked))))


def of_vectors(vectors: npt.NDArray[np.float32], random: np.random.Generator) -> VectorHealth:
    """Spread of vectors `[n, D]`, of a sample where there are many.

    Raises:
        ValueError: fewer than two vectors.
    """
    if len(vectors) < 2:
        raise ValueError("spread needs two vectors")
    chosen = random.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)
    some = vectors[chosen].astype(np.float64)
    lengths = np.linalg.norm(some, axis=1, keepdims=True)
    unit = some / np.maximum(lengths, 1e-12)
    count = len(unit)
    together = float((unit.sum(axis=0) ** 2).sum() - (unit**2).sum()) / (count * (count - 1))
    variance = np.linalg.svd(some - some.mean(axis=0), compute_uv=False) ** 2
    share = variance / max(variance.sum(), 1e-300)
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    return VectorHealth(together, float(np.exp(entropy)))

"""How far a distribution moved: the population stability index, for gates and reports."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def stability_index(now: npt.ArrayLike, before: npt.ArrayLike) -> float:
    """Population stability index of counts by bin: sum of (p - q) ln(p / q), 0 where alike.

    After Siddiqi (2006), "Credit Risk Scorecards"; by convention 0.1 is a moderate shift and 0.25 a
    large one. Half a count is added to each bin, so that an empty one stays finite.

    Args:
        now: `[B]` counts.
        before: `[B]` counts of the same bins.

    Raises:
        ValueError: other bins, or counts below 0.
    """
    p, q = np.asarray(now, np.float64), np.asarray(before, np.float64)
    if p.shape != q.shape or p.ndim != 1 or (p < 0).any() or (q < 0).any():
        raise ValueError("counts of the same bins are needed, none below 0")
    if not len(p):
        return 0.0
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float(((p - q) * np.log(p / q)).sum())


def chance_level(now: npt.ArrayLike, before: npt.ArrayLike) -> float:
    """The index that two samples of one distribution show by chance, (B - 1) (1/n + 1/m).

    After Yurdakul (2018), "Statistical Properties of Population Stability Index". Infinite where a
    sample is empty.
    """
    p, q = np.asarray(now, np.float64), np.asarray(before, np.float64)
    if not p.sum() or not q.sum():
        return float("inf")
    return float((len(p) - 1) * (1 / p.sum() + 1 / q.sum()))

"""Bootstrap intervals over users (Efron, 1979): of a mean, and of a difference paired by user.

All columns share the same resampled users, so a difference of two columns is paired by itself.
Used by `evaluate.compare` and by the release gates.
"""

from dataclasses import dataclass

import numpy as np

from recsys.evaluation.lists import Floats

CELLS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean over users with its interval.

    Attributes:
        mean: average over the users that have a value; NaN if none.
        low: lower end.
        high: upper end.
        users: how many users have a value.
    """

    mean: float
    low: float
    high: float
    users: int

    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.low > 0 or self.high < 0


def resampled_means(values: Floats, generator: np.random.Generator, draws: int = 1_000) -> Floats:
    """Means of `draws` samples of the users, with replacement, of the size of the original.

    Memory beside `values` and the result stays near 32 MB (more only above four million users).

    Args:
        values: float64 `[U, C]`, a column per metric and system; NaN where a user has no value.
        generator: makes the draws; the same state gives the same result.
        draws: how many samples.

    Returns:
        float64 `[draws, C]`; NaN where a sample holds no user with a value.
    """
    users, columns = values.shape
    result = np.full((draws, columns), np.nan)
    if users == 0:
        return result
    known = ~np.isnan(values)
    filled, present = np.where(known, values, 0.0), known.astype(np.float64)
    step = max(1, min(draws, CELLS_PER_BLOCK // users))
    for start in range(0, draws, step):
        n = min(step, draws - start)
        picked = generator.integers(0, users, size=(n, users))
        picked += np.arange(n)[:, None] * users
        times = (
            np.bincount(picked.ravel(), minlength=n * users).reshape(n, users).astype(np.float64)
        )
        totals, sizes = times @ filled, times @ present
        np.divide(totals, sizes, out=result[start : start + n], where=sizes > 0)
    return result


def intervals(
    values: Floats, generator: np.random.Generator, draws: int = 1_000, level: float = 0.95
) -> list[Interval]:
    """The mean and percentile interval of every column of `values` `[U, C]`."""
    means = resampled_means(values, generator, draws)
    return [summary(values[:, c], means[:, c], level) for c in range(values.shape[1])]


def mean_interval(
    values: Floats, generator: np.random.Generator, draws: int = 1_000, level: float = 0.95
) -> Interval:
    """The mean of `values` `[U]` and its percentile interval."""
    return intervals(values[:, None], generator, draws, level)[0]


def paired_difference(
    ours: Floats,
    theirs: Floats,
    generator: np.random.Generator,
    draws: int = 1_000,
    level: float = 0.95,
) -> Interval:
    """The mean of `ours - theirs`, both `[U]` of the same users, and its percentile interval."""
    return mean_interval(ours - theirs, generator, draws, level)


def summary(values: Floats, means: Floats, level: float = 0.95) -> Interval:
    """Puts the mean of `values` `[U]` and its resampled `means` `[draws]` into an interval."""
    known = values[~np.isnan(values)]
    means = means[~np.isnan(means)]
    if len(known) == 0 or len(means) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(known.mean()), float(low), float(high), len(known))

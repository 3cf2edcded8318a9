"""Item popularity as arrays: time-decayed counts, and the chance to be among a batch's candidates.

numpy only: training imports it where nothing heavier is installed.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
DAY_SECONDS = 86_400.0


def decayed(
    items: Integers, times: Integers, n_items: int, at_seconds: float, half_life_days: float
) -> Floats:
    """Events per item, each worth `0.5 ** (age / half life)`; events not before `at` count nothing.

    Args:
        items: `[E]` item rows.
        times: `[E]` epoch seconds.
        n_items: N.
        at_seconds: the moment that ages are measured at, epoch seconds.
        half_life_days: age at which an event counts half, days.

    Returns:
        `[N]`.
    """
    age_days = (at_seconds - times) / DAY_SECONDS
    past = age_days > 0
    worth = np.exp2(-age_days[past] / half_life_days)
    return np.bincount(items[past], weights=worth, minlength=n_items).astype(np.float64)


def log_inclusion(counts: Floats, draws: int) -> Floats:
    """Log probability that an item is drawn at least once: `log(1 - (1 - p) ** draws)`.

    p is the item's share of `counts`. This is the q of the logQ correction for candidates that are
    the distinct items of a batch (Yi et al., 2019, with inclusion instead of frequency). Computed
    without cancellation, also for items so rare that 1 - p rounds to 1; never clipped.

    Args:
        counts: `[N]` events per item; 0 gives minus infinity.
        draws: events of a batch, at least 1.
    """
    total = counts.sum()
    share = counts / total if total > 0 else np.zeros_like(counts)
    with np.errstate(divide="ignore"):
        inclusion: Floats = np.log(-np.expm1(draws * np.log1p(-share)))
    return inclusion

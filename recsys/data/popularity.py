"""How popular items are: decayed counts for lists, log inclusion probabilities for the loss.

Called by the training batches (logQ), the reranker and the popular fallback list. numpy only.
"""

import numpy as np
import numpy.typing as npt

DAY_SECONDS = 86_400
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def decayed(
    items: Rows,
    times: Rows,
    n_items: int,
    at_seconds: float,
    half_life_days: float,
    weights: npt.NDArray[np.floating] | None = None,
) -> Floats:
    """Popularity of each item at a moment: an event counts half as much per half-life of its age.

    Args:
        items: item row of each event `[E]`.
        times: epoch seconds of each event `[E]`.
        n_items: N.
        at_seconds: the moment; later events are the future and count nothing.
        half_life_days: above 0; infinity counts all past events alike.
        weights: of the events `[E]`; None counts each as 1.

    Returns:
        float64 `[N]`.

    Raises:
        ValueError: the half-life is not above 0.
    """
    if not half_life_days > 0:
        raise ValueError(f"half_life_days must be above 0, not {half_life_days}")
    age_days = (at_seconds - times) / DAY_SECONDS
    value = np.where(age_days >= 0, np.exp2(-np.maximum(age_days, 0) / half_life_days), 0.0)
    if weights is not None:
        value = value * weights
    return np.bincount(items, weights=value, minlength=n_items).astype(np.float64)


def log_inclusion(counts: npt.NDArray[np.number], draws: int) -> Floats:
    """Log probability that an item is among `draws` independent draws by `counts`.

    q = 1 - (1 - p)^draws with p = counts / sum, the correction of in-batch candidates (Yi et al.,
    2019, "Sampling-bias-corrected neural modeling"). Exact for the rarest items: nothing is
    clipped, so halving a small p takes log 2 from log q.

    Args:
        counts: events per item `[N]`, none negative.
        draws: how often an item is drawn for a batch, at least 1.

    Returns:
        float64 `[N]`, at most 0; minus infinity where the count is 0.

    Raises:
        ValueError: no counts, a negative or infinite one, or `draws` below 1.
    """
    numbers = np.asarray(counts, dtype=np.float64)
    total = float(numbers.sum())
    if not (total > 0 and np.isfinite(total) and bool((numbers >= 0).all())):
        raise ValueError("counts must be finite, none negative, and not all 0")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    with np.errstate(divide="ignore"):
        # log of the chance of never being drawn; then log(1 - exp(missed)) on its stable side
        missed = draws * np.log1p(-numbers / total)
        rare = np.log(-np.expm1(missed))
        frequent = np.log1p(-np.exp(missed))
    chosen: Floats = np.where(missed > -np.log(2.0), rare, frequent)
    return chosen

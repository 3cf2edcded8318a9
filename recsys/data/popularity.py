"""What a log tells of each item: how often, since when, how likely it is drawn by popularity.

Called by the training batches, trends, histories and windows. numpy only.
"""

import numpy as np
import numpy.typing as npt

from recsys.data import pieces

Floats = npt.NDArray[np.float64]


def counts(
    items: npt.NDArray[np.integer], n_items: int, inside: npt.NDArray[np.integer] | None = None
) -> npt.NDArray[np.int64]:
    """`[N]` events of each item; repeats count each time.

    Args:
        items: `[E]` item rows.
        n_items: N.
        inside: `[E]` not 0 for the events to count; None for all.
    """
    found = np.zeros(n_items, np.int64)
    for piece in pieces.of_events(len(items)):
        here = items[piece] if inside is None else items[piece][inside[piece] > 0]
        found += np.bincount(here, minlength=n_items)
    return found


def first_seconds(
    items: npt.NDArray[np.integer], times: npt.NDArray[np.int64], n_items: int
) -> Floats:
    """`[N]` epoch seconds of each item's first event; infinite where there is none."""
    found = np.full(n_items, np.inf)
    for piece in pieces.of_events(len(items)):
        np.minimum.at(found, items[piece], times[piece])
    return found


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

"""A soft preference for what costs about as much as what the user took before.

    price_band = -weight * distance

    distance    how far the log price of an item lies outside the user's band: 0 inside; log 2 for
                twice the band's upper end, or half its lower one
    band        between two quantiles of the log prices of the user's history; every event counts
                the same

Items and users of whom no price is known are left as they are. Off by default; called by
`recommend` between the reranker and the rules of `diversity`.
"""

import numpy as np
import numpy.typing as npt

from recsys.errors import InputFault
from recsys.serving.reranking import Ranked

Rows = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
TERM = "price_band"


def log_prices(prices: Floats | None) -> Floats:
    """`[N]` natural logs of prices; NaN where a price is unknown or not above 0.

    Raises:
        InputFault: no price is known: the rule would do nothing.
    """
    known = np.zeros(0, np.bool_) if prices is None else np.isfinite(prices) & (prices > 0)
    if prices is None or not known.any():
        raise InputFault(
            "a rule asks for prices, but none is known", where="lists.diversity.price_band",
            fix="give the items a price, or set price_band=0",
        )  # fmt: skip
    return np.where(known, np.log(np.where(known, prices, 1.0)), np.nan)


def bands(offsets: Rows, items: Integers, logs: Floats, quantiles: tuple[float, float]) -> Floats:
    """`[U, 2]` ends of users' bands in log prices; NaN where no price of the history is known.

    Quantiles are interpolated between the two nearest events (Hyndman & Fan, 1996, type 7), as by
    `numpy.quantile`.

    Args:
        offsets: `[U + 1]`: user u owns the events `offsets[u]:offsets[u + 1]`.
        items: `[E]` item rows of the events.
        logs: `[N]` from `log_prices`.
        quantiles: lower and upper, 0 to 1.
    """
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    paid = logs[items]
    known = ~np.isnan(paid)
    users, paid = users[known], paid[known]
    ordered = np.append(paid[np.lexsort((paid, users))], np.nan)
    sizes = np.bincount(users, minlength=len(offsets) - 1)
    starts = np.cumsum(sizes) - sizes
    place = np.maximum(sizes - 1, 0)[:, None] * np.asarray(quantiles)
    below = place.astype(np.int64)
    first = np.where(sizes[:, None] > 0, starts[:, None] + below, len(paid))
    second = np.minimum(first + (place > below), len(paid))
    ends: Floats = ordered[first] + (place - below) * (ordered[second] - ordered[first])
    return ends


def outside(logs: Floats, ends: Floats) -> Floats:
    """`[U, P]` how far log prices lie outside of their user's band; 0 where one is unknown.

    Args:
        logs: `[U, P]`.
        ends: `[U, 2]` from `bands`.
    """
    gap = np.maximum(ends[:, :1] - logs, logs - ends[:, 1:])
    return np.where(np.isnan(gap), 0.0, np.maximum(gap, 0.0))


def applied(ranked: Ranked, ends: Floats, logs: Floats, weight: float) -> Ranked:
    """The same items with one more term, `price_band`, in the order of their new scores.

    Args:
        ranked: `[U, P]` by score.
        ends: `[U, 2]` from `bands`.
        logs: `[N]` from `log_prices`.
        weight: what an item loses for each factor of e in price outside the band.
    """
    there = ranked.rows >= 0
    loss = -weight * np.where(there, outside(logs[ranked.rows], ends), 0.0)
    terms = np.concatenate([ranked.terms, loss[..., None]], axis=-1)
    scores = np.where(there, terms.sum(axis=-1), -np.inf)
    order = np.lexsort((np.where(there, ranked.rows, len(logs)), -scores), axis=1)
    return Ranked(
        np.take_along_axis(ranked.rows, order, 1),
        np.take_along_axis(scores, order, 1),
        np.take_along_axis(terms, order[..., None], 1),
    )

"""Baselines without a user: most popular, and most popular lately."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.evaluation.lists import Floats, Mask, Rows, Scores, Sequences

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Popular:
    """Everybody gets the same scores, float64 `[N]`."""

    strength: Floats

    def scores(self, histories: Sequences, start: int, stop: int) -> Scores:  # noqa: ARG002
        """float32 `[stop - start, N]`; histories play no part."""
        return np.tile(self._order, (stop - start, 1))

    @cached_property
    def _order(self) -> Scores:
        """Dense ranks instead of the sums: float32 would tie what float64 tells apart."""
        ranks: Scores = np.unique(self.strength, return_inverse=True)[1].astype(np.float32)
        return ranks

    def best(self, eligible: Mask, count: int) -> Rows:
        """Rows of the `count` strongest items of `eligible [N]`, ascending; of equals the lower."""
        rows = np.flatnonzero(eligible)
        return np.sort(rows[np.argsort(-self.strength[rows], kind="stable")[:count]])


def fit_popular(histories: Sequences, n_items: int) -> Popular:
    """Sum of event weights per item."""
    return Popular(_sums(histories, histories.weights, n_items))


def fit_recent_popular(
    histories: Sequences, n_items: int, at_seconds: int, half_life_days: float
) -> Popular:
    """Sum of event weights per item, halved for every `half_life_days` before `at_seconds`.

    Events after `at_seconds` count nothing: they are the future.
    """
    age_days = (at_seconds - histories.times) / DAY_SECONDS
    decayed = np.where(age_days >= 0, np.exp2(-np.maximum(age_days, 0) / half_life_days), 0.0)
    weights = histories.weights * decayed
    return Popular(_sums(histories, weights, n_items))


def _sums(histories: Sequences, weights: Floats | Scores, n_items: int) -> Floats:
    sums = np.bincount(histories.items, weights=weights, minlength=n_items)
    return sums.astype(np.float64)

"""EASE (Steck, 2019): a linear item-to-item model in closed form, for some thousands of items."""

from dataclasses import dataclass

import numpy as np

from recsys.errors import ResourceFault
from recsys.evaluation.lists import Floats, Scores, Sequences
from recsys.evaluation.user_matrices import binary, nudge, recent


@dataclass(frozen=True)
class Ease:
    """A fitted model.

    Attributes:
        weights: float32 `[N, N]`, zero diagonal; a user's vector times this gives the scores.
        popularity: `[N]`, serves users without a history.
        last: events of a user that speak.
        decay: how much less each older event says.
    """

    weights: Scores
    popularity: Floats
    last: int
    decay: float

    def scores(self, histories: Sequences, start: int, stop: int) -> Scores:
        """float32 `[stop - start, N]` for users `start:stop`."""
        users = recent(histories, start, stop, len(self.weights), self.last, self.decay)
        dense: Scores = users @ self.weights
        dense += self.popularity.astype(np.float32)
        return dense


def fit_ease(
    histories: Sequences,
    n_items: int,
    regularisation: float = 500.0,
    item_limit: int = 10_000,
    last: int = 20,
    decay: float = 0.8,
) -> Ease:
    """B = I - P / diag(P) with P = (X'X + regularisation I)^-1, X = who had what.

    Args:
        histories: training histories; how often a user met an item plays no part.
        n_items: N; time grows with its cube, memory with about 24 N^2 bytes.
        regularisation: the ridge, > 0.
        item_limit: larger catalogues are refused.
        last: events of a user that speak when scoring.
        decay: per event, when scoring.

    Raises:
        ResourceFault: more items than `item_limit`.
    """
    if n_items > item_limit:
        raise ResourceFault(
            f"EASE inverts a matrix of items x items and stops at {item_limit:,} items",
            value=n_items,
            where="evaluation.ease_item_limit",
            fix="leave ease out of the baselines, or raise the limit if memory allows "
            f"({24 * n_items**2 / 1e9:.1f} GB)",
        )
    had = binary(histories, n_items)
    gram = (had.T @ had).toarray().astype(np.float64)
    gram[np.diag_indices(n_items)] += regularisation
    inverse = np.linalg.inv(gram)
    del gram
    inverse /= -np.diag(inverse).copy()
    np.fill_diagonal(inverse, 0)
    return Ease(inverse.astype(np.float32), nudge(histories, n_items), last, decay)

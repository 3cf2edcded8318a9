"""A Markov chain over the last few items: the strongest baseline, fitted in seconds.

Score of item i for a user = sum over the last events j = 0, 1, ... of decay**j * P(i | item of j),
where P is counted from the histories: every pair at distance g <= reach adds decay**(g - 1).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.evaluation.lists import Floats, Scores, Sequences
from recsys.evaluation.user_matrices import nudge, recent


@dataclass(frozen=True)
class Markov:
    """A fitted chain.

    Attributes:
        transitions: sparse float32 `[N, N]`, row = from; rows sum to 1 or 0.
        popularity: `[N]`, orders what the chain never saw.
        last: events of a user that speak.
        decay: how much less each older event says.
    """

    transitions: sparse.csr_matrix
    popularity: Floats
    last: int
    decay: float

    def scores(self, histories: Sequences, start: int, stop: int) -> Scores:
        """float32 `[stop - start, N]` for users `start:stop`."""
        n_items = self.transitions.shape[0]
        users = recent(histories, start, stop, n_items, self.last, self.decay)
        dense: Scores = (users @ self.transitions).toarray()
        dense += self.popularity.astype(np.float32)
        return dense


def fit_markov(
    histories: Sequences, n_items: int, last: int = 10, decay: float = 0.7, reach: int = 1
) -> Markov:
    """Counts transitions within each user and makes each row sum to 1.

    Args:
        histories: training histories.
        n_items: N.
        last: events of a user that speak when scoring.
        decay: per event, when scoring, and per step of distance, when counting.
        reach: largest distance of a counted pair; 1 = neighbours only.
    """
    users = np.repeat(np.arange(len(histories.offsets) - 1), np.diff(histories.offsets))
    counts = sparse.csr_matrix((n_items, n_items), dtype=np.float32)
    for gap in range(1, reach + 1):
        same = users[gap:] == users[:-gap]
        origin, following = histories.items[:-gap][same], histories.items[gap:][same]
        ones = np.full(len(origin), decay ** (gap - 1), dtype=np.float32)
        counts = counts + sparse.csr_matrix((ones, (origin, following)), shape=counts.shape)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    scale = np.divide(1, totals, out=np.zeros_like(totals), where=totals > 0)
    transitions = (sparse.diags(scale) @ counts).tocsr().astype(np.float32)
    return Markov(transitions, nudge(histories, n_items), last, decay)

"""A baseline for what is had again and again: what each user has had most, then the popular."""

from dataclasses import dataclass

import numpy as np

from recsys.evaluation.lists import Scores, Sequences
from recsys.evaluation.popular import Popular, fit_popular


@dataclass(frozen=True)
class OwnHistory:
    """A user's own sums of event weights, in units of the smallest; popularity is below 1."""

    popular: Popular
    least: float

    def scores(self, histories: Sequences, start: int, stop: int) -> Scores:
        """float32 `[stop - start, N]`."""
        scores = self.popular.scores(histories, start, stop)
        scores /= scores.shape[1] + 1  # places in the order of popularity, now below 1
        first, last = histories.offsets[start], histories.offsets[stop]
        users = np.repeat(np.arange(stop - start), np.diff(histories.offsets[start : stop + 1]))
        sums = np.zeros_like(scores)
        np.add.at(sums, (users, histories.items[first:last]), histories.weights[first:last])
        made: Scores = scores + sums / np.float32(self.least)
        return made


def fit_own_history(histories: Sequences, n_items: int) -> OwnHistory:
    """Learns the popularity, sums of event weights, and the smallest of these."""
    least = histories.weights[histories.weights > 0].min(initial=np.inf)
    return OwnHistory(fit_popular(histories, n_items), float(least))

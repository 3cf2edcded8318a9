"""Weights of a list's terms that climb what lists are judged by, as far as other users confirm it.

The likelihood that `reranking` fits minds every choice alike, those far down the candidates too;
lists are judged by their first places. Where popularity comes in bursts, the two differ. Climbing
recall and nDCG alone fits the noise of a small window: so halves of the users climb, the other
halves say how far to follow, and nobody moves unless what they gain exceeds its spread over the
halvings. Called by `reranking.fit`. numpy only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.evaluation.metrics import Matches, ndcg_at_k, recall_at_k

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
HALVINGS = 24  # random halves of the users that climb
SHARES = (0.5, 1.0)  # of the way from the start to the mean of the climbers
STEPS = (0.5, 0.25, 0.125)  # of a weight's size, one round of all weights each
SMALLEST = 0.2  # a weight below it moves as one of this size
GAIN = 1e-3  # a step that brings less, relative, is not taken
MOST_USERS = 4_000  # more are not asked


@dataclass(frozen=True)
class Choices:
    """What users were offered and took.

    Attributes:
        values: `[U, N, T]` terms of each candidate.
        absent: bool `[U, N]`: no candidate stands there.
        taken: bool `[U, N]`: the user chose it.
        totals: `[U]` how many items each user chose, also outside the candidates; at least 1.
    """

    values: Floats
    absent: npt.NDArray[np.bool_]
    taken: npt.NDArray[np.bool_]
    totals: Rows

    def of(self, users: Rows) -> "Choices":
        """The same of some users."""
        return Choices(
            self.values[users], self.absent[users], self.taken[users], self.totals[users]
        )

    def merit(self, weights: Floats, k: int) -> float:
        """Mean of recall and nDCG at k of the lists that `weights [T]` make."""
        return self._judged(self.values @ weights, k)

    def climbed(self, start: Floats, k: int) -> Floats:
        """`[T]` weights of a local best: coordinate ascent (Metzler and Croft, 2007)."""
        weights, scores = start.copy(), self.values @ start
        best = self._judged(scores, k)
        for step in STEPS:
            for term in range(len(weights)):
                for direction in (-step, step):
                    while True:
                        move = direction * max(SMALLEST, abs(weights[term]))
                        tried = scores + move * self.values[:, :, term]
                        merit = self._judged(tried, k)
                        if merit <= best * (1 + GAIN):
                            break
                        weights[term] += move
                        scores, best = tried, merit
        return weights

    def _judged(self, scores: Floats, k: int) -> float:
        losses = np.where(self.absent, np.inf, -scores)
        first = np.argpartition(losses, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(losses, first, 1), axis=1, kind="stable")
        hits = np.take_along_axis(self.taken, np.take_along_axis(first, order, 1), 1)
        matches = Matches(hits, self.totals)
        return float((recall_at_k(matches, k) + ndcg_at_k(matches, k)).mean() / 2)


def refined(choices: Choices, start: Floats, k: int) -> Floats:
    """`[T]` weights from `start` towards those that climb, as far as held-out users gain.

    Args:
        choices: of the window; of more than `MOST_USERS` users, so many are drawn.
        start: `[T]`, say the most likely weights.
        k: places that count; no more than there are candidates.
    """
    random = np.random.default_rng(0)
    everyone = random.permutation(len(choices.totals))[:MOST_USERS]
    if len(everyone) < 2:
        return start
    climbers, gains = [], []
    for _ in range(HALVINGS):
        drawn = random.permutation(everyone)
        half, held_out = np.split(drawn, [len(drawn) // 2])
        found, judges = choices.of(half).climbed(start, k), choices.of(held_out)
        before = judges.merit(start, k)
        gains.append(
            [judges.merit(start + share * (found - start), k) - before for share in SHARES]
        )
        climbers.append(found)
    sure = np.mean(gains, axis=0) - np.std(gains, axis=0)
    share = SHARES[int(sure.argmax())] if sure.max() > 0 else 0.0
    way: Floats = share * (np.mean(climbers, axis=0) - start)
    return start + way

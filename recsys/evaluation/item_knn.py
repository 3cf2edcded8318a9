"""Item-based nearest neighbours: cosine with shrinkage (Sarwar 2001; Bell and Koren 2007)."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.evaluation.lists import Floats, Scores, Sequences
from recsys.evaluation.user_matrices import binary, nudge, recent

CELLS_PER_BLOCK = 16_000_000


@dataclass(frozen=True)
class ItemKnn:
    """Fitted neighbours.

    Attributes:
        similarity: sparse float32 `[N, N]`; column i holds the items most like item i.
        popularity: `[N]`, orders what the neighbours leave alike.
        last: events of a user that speak.
        decay: how much less each older event says.
    """

    similarity: sparse.csr_matrix
    popularity: Floats
    last: int
    decay: float

    def scores(self, histories: Sequences, start: int, stop: int) -> Scores:
        """float32 `[stop - start, N]` for users `start:stop`."""
        n_items = self.similarity.shape[0]
        users = recent(histories, start, stop, n_items, self.last, self.decay)
        dense: Scores = (users @ self.similarity).toarray()
        dense += self.popularity.astype(np.float32)
        return dense


def fit_item_knn(
    histories: Sequences,
    n_items: int,
    neighbours: int = 200,
    shrinkage: float = 10.0,
    last: int = 10,
    decay: float = 0.7,
) -> ItemKnn:
    """Similarity of i and j = users of both / (sqrt(users of i * users of j) + shrinkage).

    Dense blocks of items are compared with all others, so memory stays near 64 MB plus the result.

    Args:
        histories: training histories; how often a user met an item plays no part.
        n_items: N.
        neighbours: kept per scored item.
        shrinkage: pulls pairs with little evidence towards 0.
        last: events of a user that speak when scoring.
        decay: per event, when scoring.
    """
    had = binary(histories, n_items)
    users = np.asarray(had.sum(axis=0), dtype=np.float64).ravel()
    length = np.sqrt(users)
    by_item = had.T.tocsr()
    step = max(1, CELLS_PER_BLOCK // max(1, n_items))
    blocks = []
    for start in range(0, n_items, step):
        both = (by_item[start : start + step] @ had).toarray()
        both /= np.maximum(np.outer(length[start : start + step], length) + shrinkage, 1e-12)
        both[np.arange(len(both)), np.arange(start, start + len(both))] = 0
        blocks.append(_strongest(both, neighbours))
    similarity = sparse.vstack(blocks, format="csr").T.tocsr()
    return ItemKnn(similarity, nudge(histories, n_items), last, decay)


def _strongest(similarity: Scores, neighbours: int) -> sparse.csr_matrix:
    """Keeps the `neighbours` largest of each row, and whatever equals the smallest kept."""
    if neighbours < similarity.shape[1]:
        at = similarity.shape[1] - neighbours
        cut = np.partition(similarity, at, axis=1)[:, at : at + 1]
        similarity = np.where(similarity >= cut, similarity, np.float32(0))
    return sparse.csr_matrix(similarity)

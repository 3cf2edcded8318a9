"""The table of item ids: one learned row an item that training has seen. Used by the item tower."""

import torch
from torch import Tensor, nn


class IdEmbedding(nn.Module):
    """A table `[N, D]` whose gradient is sparse: a step touches only the rows of its batch.

    Args:
        rows: N, the number of ids known to training; may be 0.
        width: D.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max(rows, 1), width, sparse=True)
        nn.init.normal_(self.table.weight, std=width**-0.5)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows `[n]` int64, -1 where absent, to vectors `[n, D]`; absent ones are row 0's.

        The caller masks absent ids, so that row 0 gets no gradient from them.

        Raises:
            IndexError: a row is past the end of the table.
        """
        vectors: Tensor = self.table(rows.clamp(min=0))
        return vectors


def grown(embedding: IdEmbedding, rows: int) -> IdEmbedding:
    """A table with `rows` rows that keeps what `embedding` learned; new rows are its mean row.

    For training on with a catalogue that grew, when old ids kept their order in front.

    Raises:
        ValueError: the new table is smaller.
    """
    old = embedding.table.weight.detach()
    if rows < old.shape[0]:
        raise ValueError(f"a table of {old.shape[0]} rows cannot grow to {rows}")
    larger = IdEmbedding(rows, old.shape[1]).to(old.device)
    with torch.no_grad():
        larger.table.weight[: old.shape[0]] = old
        larger.table.weight[old.shape[0] :] = old.mean(dim=0)
    return larger


def kept(embedding: IdEmbedding, rows: list[int]) -> IdEmbedding:
    """A table of these rows of `embedding`, in this order; of none, one row of zeros."""
    old = embedding.table.weight.detach()
    smaller = IdEmbedding(len(rows), old.shape[1]).to(old.device)
    with torch.no_grad():
        smaller.table.weight.copy_(old[rows] if rows else torch.zeros_like(old[:1]))
    return smaller

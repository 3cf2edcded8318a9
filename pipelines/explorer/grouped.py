"""A table in which the rows of one key are found without looking at the others."""

import numpy as np
import polars as pl

from recsys.vocabulary import Vocabulary


class Grouped:
    """A frame sorted by a text column; the rows of one key are a slice.

    Args:
        frame: in any order; rows of a key keep theirs.
        key: the column.
    """

    def __init__(self, frame: pl.DataFrame, key: str) -> None:
        self.frame = frame.sort(key, maintain_order=True)
        runs = self.frame[key].rle().struct
        lengths = runs.field("len").to_numpy()
        self.keys = runs.field("value")
        self._known = Vocabulary(self.keys.to_list())
        self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> pl.DataFrame:
        """The rows of a key; none where it is unknown."""
        row = int(self._known.rows([key])[0])
        if row < 0:
            return self.frame.clear()
        start = int(self._offsets[row])
        return self.frame.slice(start, int(self._offsets[row + 1]) - start)


def containing(keys: pl.Series, text: str, count: int) -> list[str]:
    """The first keys that hold `text`, whatever its case; those that begin with it come first."""
    low = keys.str.to_lowercase()
    found = keys.filter(low.str.contains(text.lower(), literal=True))
    begins = found.str.to_lowercase().str.starts_with(text.lower())
    return [*found.filter(begins).head(count), *found.filter(~begins).head(count)][:count]

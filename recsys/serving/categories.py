"""The categories of the items as codes, and the mix of them that a user's history shows.

Called by `recommend` for the rules of `diversity`, and by the stages that know the catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemCategories:
    """Which categories items have; one, several or none.

    Attributes:
        offsets: `[N + 1]`: item n owns the codes `offsets[n]:offsets[n + 1]`.
        codes: `[E]` positions in `names`, distinct within an item.
        names: of the C categories, in alphabetical order.
    """

    offsets: Rows
    codes: Rows
    names: tuple[str, ...]

    def of_rows(self, rows: Integers) -> tuple[Rows, Floats]:
        """`[..., M]` codes of items, C behind an item's last, and the share of each: 1 / number.

        Args:
            rows: of any shape, -1 for no item.
        """
        starts = np.where(rows >= 0, self.offsets[rows], 0)
        sizes = np.where(rows >= 0, self.offsets[rows + 1] - starts, 0)
        number = np.arange(max(1, int(sizes.max(initial=0))))
        there = number < sizes[..., None]
        padded = np.append(self.codes, len(self.names))
        codes = padded[np.where(there, starts[..., None] + number, len(self.codes))]
        return codes, there / np.maximum(sizes, 1)[..., None]


def categorised(lists: Sequence[Sequence[str]]) -> ItemCategories:
    """Categories of N items from their names; a name that an item repeats counts once."""
    distinct = [sorted(set(names)) for names in lists]
    every = sorted({name for names in distinct for name in names})
    codes = {name: code for code, name in enumerate(every)}
    offsets = np.cumsum([0, *(len(names) for names in distinct)], dtype=np.int64)
    flat = [codes[name] for names in distinct for name in names]
    return ItemCategories(offsets, np.array(flat, np.int64), tuple(every))


def tastes(offsets: Rows, items: Integers, categories: ItemCategories) -> Floats:
    """`[U, C]` category mix of users' histories; a row sums to 1, or is 0 where nothing is known.

    Every event counts the same, and an item with several categories counts in equal parts.

    Args:
        offsets: `[U + 1]`: user u owns the events `offsets[u]:offsets[u + 1]`.
        items: `[E]` item rows of the events.
        categories: of all items.
    """
    users, width = len(offsets) - 1, len(categories.names) + 1
    owners = np.repeat(np.arange(users), np.diff(offsets))
    codes, shares = categories.of_rows(items)
    cells = (owners[:, None] * width + codes).ravel()
    mix = np.bincount(cells, shares.ravel(), users * width).reshape(users, width)[:, :-1]
    sums = mix.sum(axis=1, keepdims=True)
    scaled: Floats = mix / np.where(sums > 0, sums, 1.0)
    return scaled

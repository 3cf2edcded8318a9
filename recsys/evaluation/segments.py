"""Named parts of the users and of the catalogue that recall is reported for separately.

A segment of users averages over some users. A segment of items keeps only the relevant items inside
it: "of the new items that people wanted, how many did the lists hold?"
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from recsys.errors import InputFault
from recsys.evaluation.lists import Floats, Mask, Rows
from recsys.settings import Section


class SegmentSettings(Section):
    """Where the borders between segments lie."""

    short_history: int = Field(
        10, ge=1, description="A user with at most this many events before the cut is `user_short`."
    )
    long_tail: int = Field(
        20, ge=1, description="An item with fewer training events than this is `item_long_tail`."
    )


def user_segments(lengths: Rows, settings: SegmentSettings) -> dict[str, Mask]:
    """`user_new` (no events before the cut), `user_short`, `user_long`: every user is in one.

    Args:
        lengths: events before the cut, int64 `[U]`.
        settings: where short ends.
    """
    new, short = lengths == 0, (lengths > 0) & (lengths <= settings.short_history)
    return {"user_new": new, "user_short": short, "user_long": ~new & ~short}


def item_segments(counts: Floats, settings: SegmentSettings) -> dict[str, Mask]:
    """`item_new` (no training events), `item_long_tail`, `item_warm`: every item is in one.

    Args:
        counts: training events, `[N]`.
        settings: where the long tail begins.
    """
    new, tail = counts == 0, (counts > 0) & (counts < settings.long_tail)
    return {"item_new": new, "item_long_tail": tail, "item_warm": ~new & ~tail}


def modality_segments(names: Sequence[str], present: Mask) -> dict[str, Mask]:
    """`item_with_NAME` and `item_without_NAME` of every modality, and each pattern that occurs.

    Patterns are called `item_only_text_image`, or `item_only_nothing`; every item is in one.

    Args:
        names: the modalities, in the order of the columns.
        present: bool `[N, M]`.

    Raises:
        InputFault: the number of names is not the number of columns.
    """
    if present.ndim != 2 or present.shape[1] != len(names):
        raise InputFault(
            "modality names do not fit the presence mask",
            value=f"{len(names)} names, mask {present.shape}",
            where="evaluation.modality_segments",
            fix="pass one name per column",
        )
    segments: dict[str, Mask] = {}
    for column, name in enumerate(names):
        segments[f"item_with_{name}"] = present[:, column]
        segments[f"item_without_{name}"] = ~present[:, column]
    for pattern in np.unique(present, axis=0):
        label = "_".join(name for name, there in zip(names, pattern, strict=True) if there)
        segments[f"item_only_{label or 'nothing'}"] = (present == pattern).all(axis=1)
    return segments

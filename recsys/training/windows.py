"""How histories are cut into windows, windows into batches, and which event is whose target.

Called by the batches.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from recsys.data import pieces

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer]


class Histories(Protocol):
    """Events of U users, sorted by user, then time; the data room's type has these arrays."""

    @property
    def offsets(self) -> Rows: ...
    @property
    def items(self) -> Integers: ...
    @property
    def events(self) -> Integers: ...
    @property
    def times(self) -> Rows: ...
    @property
    def weights(self) -> npt.NDArray[np.float32]: ...


def novel(histories: Histories, items: int) -> Mask:
    """`[E + 1]` whether an event is its user's first one on that item; the last is no event."""
    found = np.zeros(len(histories.items) + 1, np.bool_)
    for block, pairs in _pairs(histories, items):
        found[block][np.unique(pairs, return_index=True)[1]] = True
    return found


def strengths(histories: Histories, items: int) -> npt.NDArray[np.float32]:
    """`[E]` the largest weight that an event's user gave its item."""
    found = np.empty(len(histories.items), np.float32)
    for block, pairs in _pairs(histories, items):
        unique, which = np.unique(pairs, return_inverse=True)
        strongest = np.zeros(len(unique), np.float32)
        np.maximum.at(strongest, which, histories.weights[block])
        found[block] = strongest[which]
    return found


def _pairs(histories: Histories, items: int) -> Iterator[tuple[slice, Rows]]:
    """Blocks of events, each of whole users, and a number for every pair of user and item."""
    sizes = np.diff(histories.offsets)
    for users, block in pieces.of_users(histories.offsets):
        owners = np.repeat(np.arange(users.start, users.stop, dtype=np.int64), sizes[users])
        yield block, np.asarray(owners * items + histories.items[block], np.int64)


def hold_a_target(starts: Rows, lengths: Rows, found: Mask) -> Mask:
    """`[W]` whether one of `found [E + 1]` is among the events after a window's first one."""
    ends = np.stack([starts + 1, starts + lengths + 1], axis=1)
    held: Mask = np.logical_or.reduceat(found, ends.ravel())[::2] if len(ends) else found[:0]
    return held


def in_windows(starts: Rows, lengths: Rows, events: int) -> npt.NDArray[np.int8]:
    """`[E]` of each event in how many windows it is: 0, 1, or 2 where two windows share it."""
    edges = np.zeros(events + 1, np.int8)
    edges[starts] += 1  # no two windows begin, or end, with the same event
    edges[starts + lengths + 1] -= 1
    return np.cumsum(edges, dtype=np.int8, out=edges)[:-1]


def windows(
    offsets: Rows, max_length: int, which: Literal["last", "all"]
) -> tuple[Rows, Rows, Rows]:
    """Windows cut from the end of each history: users, first events, and numbers of inputs.

    A window of l inputs covers l + 1 events; its first l are read and its last l are targets. Of
    two neighbouring windows the later one's first input is the earlier one's last target, so that
    every event but a user's first is a target exactly once.
    """
    inputs = np.maximum(np.diff(offsets) - 1, 0)
    pieces = -(-inputs // max_length)
    if which == "last":
        pieces = np.minimum(pieces, 1)
    users = np.repeat(np.arange(len(inputs)), pieces)
    # number of the window counted from the end of its user's history
    backwards = np.arange(len(users)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    ends = offsets[users + 1] - 1 - backwards * max_length
    starts = np.maximum(offsets[users], ends - max_length)
    return users, starts, ends - starts


def day_before(days: Rows, following: Rows) -> Rows:
    """`[B, L]` the place in its window of the last event on an earlier day than the one after it.

    Args:
        days: `[B, L]` of the windows' events, ascending but behind a window's end.
        following: `[B, L]` of the event after each.

    Returns:
        -1 where all of the window so far is of the same day.
    """
    place = np.arange(days.shape[1])
    return np.maximum.accumulate(np.where(following > days, place, -1), axis=1)


def packed(order: Rows, lengths: Rows, budget: int) -> list[Rows]:
    """Cuts `order`, sorted by falling length, into batches of at most `budget` padded events."""
    batches = []
    start = 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches

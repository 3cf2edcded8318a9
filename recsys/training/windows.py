"""How histories are cut into windows, windows into batches, and which event is whose target.

Called by the batches.
"""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer]
EVENTS = 1 << 22  # looked at together


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


def day_before(offsets: Rows, days: Integers) -> Integers:
    """For each event the user's last one on a day before it; -1 where there is none."""
    first = np.zeros(len(days), np.bool_)
    first[offsets[:-1][np.diff(offsets) > 0]] = True
    begins = first | (np.diff(days, prepend=days[:1]) != 0)
    place = np.arange(len(days), dtype=_places(len(days)))
    place[~begins] = 0
    np.maximum.accumulate(place, out=place)
    none = first[place]
    place -= 1
    place[none] = -1
    return place


def targets(
    histories: Histories, items: int, repeats: bool
) -> tuple[Integers, npt.NDArray[np.float32]]:
    """For each event the first event from it on that may be a target, and what targets weigh.

    Returns:
        `[E + 1]` positions, E where there is none (users are not told apart), and `[E]` weights: of
        the event, or without repeats the largest that the user gave the item.
    """
    offsets, count = histories.offsets, len(histories.items)
    following = np.arange(count + 1, dtype=_places(count))
    if repeats:
        return following, histories.weights
    strengths = np.empty(count, np.float32)
    user = 0
    while user < len(offsets) - 1:  # so many users at a time as have about EVENTS events
        stop = max(user + 1, int(np.searchsorted(offsets, offsets[user] + EVENTS, "right")) - 1)
        block = slice(int(offsets[user]), int(offsets[stop]))
        users = np.repeat(np.arange(user, stop), np.diff(offsets[user : stop + 1]))
        _, first, which = np.unique(
            users * items + histories.items[block], return_index=True, return_inverse=True
        )
        repeated = np.ones(len(users), np.bool_)
        repeated[first] = False
        following[block][repeated] = count
        strongest = np.zeros(len(first), np.float32)
        np.maximum.at(strongest, which, histories.weights[block])
        strengths[block] = strongest[which]
        user = stop
    return np.minimum.accumulate(following[::-1])[::-1], strengths


def _places(count: int) -> type[np.signedinteger]:
    """What places of so many events, and the one behind them, are counted in."""
    return np.int32 if count < np.iinfo(np.int32).max else np.int64


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


def packed(order: Rows, lengths: Rows, budget: int) -> list[Rows]:
    """Cuts `order`, sorted by falling length, into batches of at most `budget` padded events."""
    batches = []
    start = 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches

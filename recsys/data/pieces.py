"""A log in pieces: what is made on the way to a result is held for one of them only.

Called by whatever goes through all events. numpy only.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

EVENTS = 1 << 20  # looked at together


def of_events(count: int) -> Iterator[slice]:
    """`count` events in pieces."""
    for start in range(0, count, EVENTS):
        yield slice(start, min(start + EVENTS, count))


def of_users(offsets: npt.NDArray[np.int64]) -> Iterator[tuple[slice, slice]]:
    """Users, so many at a time as have about `EVENTS` events, and the events that they have.

    Args:
        offsets: `[U + 1]`; user u owns the events `offsets[u]:offsets[u + 1]`.
    """
    user = 0
    while user < len(offsets) - 1:
        stop = max(user + 1, int(np.searchsorted(offsets, offsets[user] + EVENTS, "right")) - 1)
        yield slice(user, stop), slice(int(offsets[user]), int(offsets[stop]))
        user = stop

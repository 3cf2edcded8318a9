"""How long a validation or test window must be to hold enough events and users to judge by."""

import numpy as np
import numpy.typing as npt

from recsys.data import histories, pieces, popularity
from recsys.data.histories import Histories
from recsys.data.trends import DAY_SECONDS

Seconds = npt.NDArray[np.int64]
SHARE = 0.01  # of all events that a window shall hold,
FEWEST, MOST = 1_000, 100_000  # but no fewer, and no more than is enough for any judgement;
LARGEST_SHARE = 0.05  # of a small log, which has to be learned from too
RETURNING = 100  # users with a history that a window shall ask about, too,
MOST_FOR_USERS = 0.1  # of the events at most for their sake
WEEK, LONGEST = 7, 3650  # days
PART_OF_LOG = 8  # no window of a short log need be longer than this part of it
LASTING = 0.5  # of a week's events shall be with items that were there before it, or it is less


def days(events: Histories, end: int) -> int:
    """Whole days before `end` that hold enough of a log: a week, or more where the log is thin.

    The tail of a log is often thin: the last week of MovieLens-1M has 381 of a million events, the
    last week of a small shop a few dozen users. And where people come once and never again, many
    events say little about those whose histories a model reads. Where items live for a day or two,
    as news do, lists of a week ago are judged by what nobody could have listed.

    Args:
        events: of the log.
        end: where the window ends; later events are not in it.
    """
    inside = histories.active(histories.before(events, end))
    if not len(inside):
        return WEEK
    count = len(events.times)
    by_day = _by_day(inside.times, end)
    needed = min(max(count * SHARE, min(FEWEST, count * LARGEST_SHARE)), MOST)
    span = (end - int(inside.times.min())) / DAY_SECONDS
    week = min(max(1, int(span / PART_OF_LOG)), WEEK)
    enough = _lasting(inside, end, _holding(by_day, needed), week)
    longest = _holding(by_day, min(count * MOST_FOR_USERS, MOST))
    if longest > enough:
        lengths = np.arange(enough, longest + 1)
        known = _returning(inside, end - lengths * DAY_SECONDS)
        enough = int(lengths[np.minimum(known, RETURNING).argmax()])
    return min(enough, LONGEST)


def _by_day(times: Seconds, end: int) -> Seconds:
    """Events in the last d days before `end`, for d from 0 on."""
    days = -(-(end - int(times.min())) // DAY_SECONDS)
    counts = np.zeros(days + 1, np.int64)
    for piece in pieces.of_events(len(times)):
        counts += np.bincount(-(-(end - times[piece]) // DAY_SECONDS), minlength=days + 1)
    return counts.cumsum()


def _holding(by_day: Seconds, events: float) -> int:
    """Days before the end that hold so many events, or all."""
    return int(np.searchsorted(by_day, min(max(1, int(events)), by_day[-1])))


def _lasting(inside: Histories, end: int, least: int, most: int) -> int:
    """The longest of `least` to `most` days before `end` that mostly ask for older items.

    `least` where no longer one does.
    """
    if most <= least:
        return least
    first = popularity.first_seconds(inside.items, inside.times, int(inside.items.max()) + 1)
    late = inside.times >= end - most * DAY_SECONDS
    times, appeared = inside.times[late], first[inside.items[late]]
    for length in range(most, least, -1):
        start = end - length * DAY_SECONDS
        older = appeared[times >= start] < start
        if older.sum() >= LASTING * len(older):
            return length
    return least


def _returning(inside: Histories, starts: Seconds) -> Seconds:
    """How many users have an event before each start and one after it."""
    first, last = inside.times[inside.offsets[:-1]], inside.times[inside.offsets[1:] - 1]
    return np.searchsorted(np.sort(first), starts) - np.searchsorted(np.sort(last), starts)

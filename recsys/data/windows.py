"""How long a validation or test window must be to hold enough events to judge by."""

import numpy as np
import numpy.typing as npt

from recsys.data.trends import DAY_SECONDS

SHARE = 0.01  # of all events that a window shall hold,
FEWEST, MOST = 1_000, 100_000  # but no fewer, and no more than is enough for any judgement;
LARGEST_SHARE = 0.05  # of a small log, which has to be learned from too
WEEK, LONGEST = 7, 3650  # days
PART_OF_LOG = 8  # no window of a short log need be longer than this part of it


def days(seconds: npt.NDArray[np.int64], end: int) -> int:
    """Whole days before `end` that hold enough of a log: a week, or more where the log is thin.

    The tail of a log is often thin: the last week of MovieLens-1M has 381 of a million events, the
    last week of a small shop a few dozen users.

    Args:
        seconds: `[E]` epoch seconds of all events, in any order.
        end: where the window ends; later events are not in it.
    """
    before = seconds[seconds < end]
    if not len(before):
        return WEEK
    needed = min(max(len(seconds) * SHARE, min(FEWEST, len(seconds) * LARGEST_SHARE)), MOST)
    place = max(0, len(before) - max(1, int(needed)))
    oldest = int(np.partition(before, place)[place])
    span = (end - int(before.min())) / DAY_SECONDS
    shortest = min(max(1, int(span / PART_OF_LOG)), WEEK)
    return min(max(-(-(end - oldest) // DAY_SECONDS), shortest), LONGEST)

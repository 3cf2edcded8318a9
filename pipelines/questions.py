"""Users of a window of the log and what they did in it: what validation and evaluation ask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.data import histories as histories_module
from recsys.data.histories import Histories
from recsys.data.splits import VALIDATION, Split
from recsys.evaluation.lists import RowSets, row_sets
from recsys.progress import say

Rows = npt.NDArray[np.int64]
FEWEST_RETURNING = 10  # users with a history in a validation window, or its visits are asked about
BLOCK = 1024  # users


@dataclass(frozen=True)
class Question:
    """Users of a window with what they did in it: what validation and evaluation ask.

    Attributes:
        known: histories of the users who have one, at the window's beginning.
        relevant: what each of them did in the window.
        new: what users without history did.
        new_ids: their ids.
        at_seconds: the window's beginning.
        moments: `[U]` when each of the known asked: in leave-one-out and of visits the time of what
            they did; else None.
    """

    known: Histories
    relevant: RowSets
    new: RowSets
    new_ids: tuple[str, ...]
    at_seconds: int
    moments: Rows | None

    def everyone(self) -> Histories:
        """All users: the known, then those without history."""
        known = self.known
        ends = np.full(len(self.new), known.offsets[-1], np.int64)
        return Histories(
            (*known.user_ids, *self.new_ids),
            np.concatenate([known.offsets, ends]),
            known.items,
            known.events,
            known.times,
            known.weights,
        )

    def blocks(self) -> list["Question"]:
        """The known users in blocks, so that what is held for each of them is bounded."""
        nobody = RowSets(np.zeros(1, np.int64), np.zeros(0, np.int64))
        return [
            Question(
                histories_module.block(self.known, start, start + BLOCK),
                self.relevant.block(start, start + BLOCK), nobody, (), self.at_seconds,
                None if self.moments is None else self.moments[start : start + BLOCK],
            )
            for start in range(0, len(self.known), BLOCK)
        ]  # fmt: skip

    def sample(self, count: int) -> "Question":
        """At most `count` of the known users, drawn by a fixed seed, in their order."""
        if len(self.known) <= count:
            return self
        users = np.sort(np.random.default_rng(0).permutation(len(self.known))[:count])
        ids = self.known.user_ids
        return Question(
            histories_module.select(self.known, tuple(ids[user] for user in users)),
            self.relevant.of(users), self.new, self.new_ids, self.at_seconds,
            None if self.moments is None else self.moments[users],
        )  # fmt: skip

    def wanted(self) -> RowSets:
        """What each of `everyone` did in the window."""
        known, new = self.relevant, self.new
        offsets = np.concatenate([known.offsets, known.offsets[-1] + new.offsets[1:]])
        return RowSets(offsets, np.concatenate([known.rows, new.rows]))


def question(split: Split, part: int) -> Question:
    """The users of the validation or test window, those with and those without a history."""
    window = split.window(part)
    wanted = window.relevant
    past = histories_module.active(histories_module.select(window.history, wanted.user_ids))
    known = set(past.user_ids)
    with_history = histories_module.select(wanted, past.user_ids)
    without = histories_module.select(wanted, [u for u in wanted.user_ids if u not in known])
    return Question(
        past,
        row_sets(with_history.offsets, with_history.items),
        row_sets(without.offsets, without.items),
        without.user_ids,
        window.at_seconds,
        with_history.times[with_history.offsets[:-1]] if split.kind == "leave_one_out" else None,
    )


def examined(split: Split) -> Question:
    """What validation asks: what users with a history do in the window.

    In a shop whose visitors hardly ever come back, or are not recognised, there are none: then it
    asks for the last event of a visit that began in the window, by those before it.
    """
    asked = question(split, VALIDATION)
    if split.kind != "global_time" or len(asked.known) >= FEWEST_RETURNING:
        return asked
    visits = histories_module.select(split.window(VALIDATION).relevant, asked.new_ids)
    sizes = np.diff(visits.offsets)
    last = np.zeros(len(visits.items), np.bool_)
    last[visits.offsets[1:][sizes > 0] - 1] = True
    begun = histories_module.active(histories_module.kept(visits, ~last))
    if len(begun) <= len(asked.known):
        return asked
    say(f"validated by {len(begun):,} visits: {len(asked.known)} users of the window came back")
    wanted = histories_module.select(histories_module.kept(visits, last), begun.user_ids)
    return Question(
        begun, row_sets(wanted.offsets, wanted.items), asked.new.block(0, 0), (),
        asked.at_seconds, wanted.times,
    )  # fmt: skip

"""From histories to batches: windows of about equal length, their unique items, the next items.

A batch is a function of (settings, epoch, number): there is no state to save, and a run that
resumes inside an epoch sees exactly the batches that it would have seen. Called by the trainer.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from recsys.data.popularity import counts, log_inclusion
from recsys.data.trends import DAY_SECONDS, Trends
from recsys.settings import Section
from recsys.training.batch import Batch
from recsys.training.windows import (
    Histories,
    day_before,
    hold_a_target,
    in_windows,
    novel,
    packed,
    strengths,
    windows,
)

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
EVER = -(1 << 62)  # seconds; before all events
AFTER_ALL = np.iinfo(np.int64).max  # events
PREPARED = 3  # batches made ahead by the background thread


class BatchSettings(Section):
    """What a training batch holds."""

    batch_events: int = Field(
        default=2048, ge=2, le=1 << 22, description="events of a batch, padding included"
    )
    windows: Literal["last", "all"] = Field(
        default="all",
        description="learn from a user's last window only, or from the whole history in windows",
    )
    candidates: Literal["in_batch", "mixed", "full"] = Field(
        default="mixed",
        description="what a target is told apart from: the batch's items, those and uniform "
        "negatives, or every item of training",
    )
    negatives: int = Field(
        default=1024, ge=1, le=1 << 20, description="uniform negatives a batch, for mixed"
    )
    mask_history: bool = Field(
        default=True, description="items of a user's own window are no negatives of that user"
    )
    repeats: bool | None = Field(
        default=None,
        description="learn the next event as it is; false: the next item that is new to the user; "
        "unset: as lists are made (lists.candidates.repeats)",
    )
    objective: Literal["next", "night"] = Field(
        default="night",
        description="each state foresees the next event; or only within its day, and a day's last "
        "state foresees all of the user's next day, as lists made at night must",
    )
    session_weight: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="objective night: weight of targets within a day, relative to those of the "
        "next day",
    )
    event_weights: bool = Field(
        default=False, description="weigh targets by their event's weight; else all count alike"
    )


class Batches:
    """Cuts histories into windows once, and makes the batches of any epoch.

    Args:
        histories: of training. Users with fewer than two events have no target and are left out.
        items: N, the size of the catalogue.
        max_length: L, the most events of a window.
        settings: of the batches.
        seed: with the epoch and the batch's number it fixes all randomness.
        trends: popularity and age of the items on the targets' days; None for none.
        since_seconds: only events from this moment on are targets; None for all.
        people: `[U, C]` int64 attributes of the users; None where nothing is known of them.
    """

    def __init__(
        self,
        histories: Histories,
        items: int,
        max_length: int,
        settings: BatchSettings,
        seed: int,
        trends: Trends | None = None,
        since_seconds: int | None = None,
        people: Rows | None = None,
    ) -> None:
        self._histories = histories
        self._people = people
        self._since = EVER if since_seconds is None else since_seconds
        self._trends = trends
        self._settings = settings
        self._seed = seed
        self._users, self._starts, self._lengths = windows(
            histories.offsets, max_length, settings.windows
        )
        self._novel = None if settings.repeats else novel(histories, items)
        self._strength = histories.weights
        if settings.event_weights and not settings.repeats:
            self._strength = strengths(histories, items)
        self._drop_targetless()
        self._plan_epoch, self._plan = -1, list[Rows]()
        self._known = np.flatnonzero(counts(histories.items, items))
        self._log_q = self._inclusion(items)

    def _drop_targetless(self) -> None:
        """Leaves out windows in which no event is a target."""
        times = self._histories.times
        ends = self._starts + self._lengths
        useful = times[ends] >= self._since
        if self._novel is not None:
            useful &= hold_a_target(self._starts, self._lengths, self._novel)
        if self._settings.objective == "night" and not self._settings.session_weight:
            # the last event's day must have begun after the window's first event
            useful &= times[ends] // DAY_SECONDS > times[self._starts] // DAY_SECONDS
        self._users, self._starts, self._lengths = (
            column[useful] for column in (self._users, self._starts, self._lengths)
        )

    def count(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self._planned(epoch))

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch]:
        """The batches of `epoch` from number `start` on, prepared by a background thread."""
        plan = self._planned(epoch)
        pending: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for number in range(start, len(plan)):
                pending.append(pool.submit(self._make, plan[number], epoch, number))
                if len(pending) > PREPARED:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _planned(self, epoch: int) -> list[Rows]:
        """Windows of each batch: about equal lengths, in random order."""
        if epoch != self._plan_epoch:
            random = np.random.default_rng([self._seed, epoch])
            order = random.permutation(len(self._lengths))
            order = order[np.argsort(-self._lengths[order], kind="stable")]
            plan = packed(order, self._lengths, self._settings.batch_events)
            self._plan = [plan[place] for place in random.permutation(len(plan))]
            self._plan_epoch = epoch
        return self._plan

    def _make(self, chosen: Rows, epoch: int, number: int) -> Batch:
        histories, starts, users = self._histories, self._starts[chosen], self._users[chosen]
        lengths = self._lengths[chosen]
        place = np.arange(lengths.max())
        mask = place < lengths[:, None]
        here = np.where(mask, starts[:, None] + place, starts[:, None])
        states, wanted, ahead = self._pairs(here, mask)
        windowed = np.concatenate([histories.items[here].ravel(), histories.items[wanted]])
        drawn = np.concatenate([windowed, self._negatives(epoch, number)])
        rows, places = np.unique(drawn, return_inverse=True)
        ages = histories.times[starts + lengths][:, None] - histories.times[here]
        weights = np.ones(len(wanted), np.float32)
        if self._settings.event_weights:
            weights *= self._strength[wanted]
        if self._settings.objective == "night":
            weights[ahead == 0] *= self._settings.session_weight
        batch = Batch(
            users=torch.from_numpy(users),
            item_rows=torch.from_numpy(rows),
            items=torch.from_numpy(places[: here.size].reshape(mask.shape)),
            events=torch.from_numpy(np.where(mask, histories.events[here], 0).astype(np.int64)),
            ages=torch.from_numpy(np.where(mask, ages, 0)),
            event_weights=torch.from_numpy(np.where(mask, histories.weights[here], 1)),
            mask=torch.from_numpy(mask),
            places=torch.from_numpy(states),
            targets=torch.from_numpy(places[here.size : len(windowed)]),
            weights=torch.from_numpy(weights),
            ahead=torch.from_numpy(ahead),
            log_q=None if self._log_q is None else torch.from_numpy(self._log_q[rows]),
            people=None if self._people is None else torch.from_numpy(self._people[users]),
        )
        if self._trends is None:
            return batch
        return batch.with_trends(self._trends, histories.times[wanted])

    def _pairs(self, here: Rows, mask: Mask) -> tuple[Rows, Rows, Rows]:
        """States as places in `[B, L]`, the event that each should foresee, and `ahead`."""
        times, following = self._histories.times, here + 1
        may = mask if self._novel is None else mask & self._novel[following]
        # the first of the window from here on that may be a target
        nearest = np.where(may, following, AFTER_ALL)[:, ::-1]
        nearest = np.minimum.accumulate(nearest, axis=1)[:, ::-1]
        rows, columns = np.nonzero(nearest < AFTER_ALL)
        wanted = nearest[rows, columns]
        days = times[here] // DAY_SECONDS
        ahead = times[wanted] // DAY_SECONDS > days[rows, columns]
        if self._settings.objective == "night":
            before = day_before(days, times[following] // DAY_SECONDS)
            whole = may & (before >= 0)
            later, _ = np.nonzero(whole)
            rows = np.concatenate([rows[~ahead], later])
            columns = np.concatenate([columns[~ahead], before[whole]])
            wanted = np.concatenate([wanted[~ahead], following[whole]])
            ahead = np.repeat([False, True], [int((~ahead).sum()), len(later)])
        recent = times[wanted] >= self._since
        places = (rows * mask.shape[1] + columns)[recent]
        return places, wanted[recent], ahead[recent].astype(np.int64)

    def _negatives(self, epoch: int, number: int) -> Rows:
        match self._settings.candidates:
            case "in_batch":
                return self._known[:0]
            case "full":
                return self._known
            case "mixed":
                random = np.random.default_rng([self._seed, epoch, number])
                wanted = min(self._settings.negatives, len(self._known))
                return self._known[random.choice(len(self._known), wanted, replace=False)]

    def _inclusion(self, items: int) -> npt.NDArray[np.float32] | None:
        """`[N]` log probability that an item is among the candidates of an average batch."""
        if self._settings.candidates == "full" or not len(self._lengths):
            return None
        inside = in_windows(self._starts, self._lengths, len(self._histories.items))
        seen = counts(self._histories.items, items, inside)
        events = int(self._lengths.sum() + len(self._lengths))
        draws = max(1, round(events / len(self._planned(0))))
        log_q = log_inclusion(seen, draws)
        if self._settings.candidates == "mixed":
            uniform = min(self._settings.negatives, len(self._known)) / len(self._known)
            log_q = np.log(np.exp(log_q) * (1 - uniform) + uniform)
        inclusion: npt.NDArray[np.float32] = log_q.astype(np.float32)
        return inclusion

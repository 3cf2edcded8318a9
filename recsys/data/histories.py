"""Who did what, in which order, as arrays: the form in which training, serving and evaluation read.

Built from cleaned interactions; a user owns a slice of every event array, 18 bytes an event. A
whole log is put together from its buckets: as a table it would take several times as much. Where a
folder is named, the arrays of large logs lie in it, and as much of them in memory as there is room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys import memory
from recsys.data import pieces, popularity
from recsys.data.accounts import ORDER
from recsys.vocabulary import Rows, Vocabulary

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]
COLUMNS = ["user_id", "item_id", "timestamp", "event", "weight"]


@dataclass(frozen=True)
class Histories:
    """Events of U users, sorted by user, then (time, sequence).

    Attributes:
        user_ids: `[U]`.
        offsets: int64 `[U + 1]`; user u owns the events `offsets[u]:offsets[u + 1]`.
        items: int32 `[E]`, item rows.
        events: int16 `[E]`, codes: 0 unknown, else 1 + position among the sorted event names.
        times: int64 `[E]`, epoch seconds, UTC.
        weights: float32 `[E]`.
        aside: where large arrays of events lie that are made from these; None for memory.
    """

    user_ids: tuple[str, ...]
    offsets: Rows
    items: Integers
    events: Integers
    times: Rows
    weights: npt.NDArray[np.float32]
    aside: Path | None = None

    def __len__(self) -> int:
        """U, how many users there are, with or without events."""
        return len(self.user_ids)


def ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows by (user_id, timestamp, sequence); what still ties keeps its order."""
    return frame.sort([name for name in ORDER if name in frame.columns], maintain_order=True)


def build(frame: pl.DataFrame, items: Vocabulary, event_names: Sequence[str]) -> Histories:
    """Histories of all users of `frame`, who stand in the order of their ids.

    Args:
        frame: cleaned interactions in any order: user_id, item_id, timestamp, event, weight.
        items: catalogue ids. Events on other items are left out; their users stay.
        event_names: names in any order; an event's code is 1 + its position among them sorted.
    """
    names = sorted(event_names)
    known = pl.DataFrame(
        {"item_id": pl.Series(items.ids, dtype=pl.String), "item_row": range(len(items))},
        schema_overrides={"item_row": pl.Int32},
    )
    codes = {name: code for code, name in enumerate(names, start=1)}
    events = ordered(frame).join(known, on="item_id", how="left", maintain_order="left")
    users = events["user_id"].unique(maintain_order=True)
    here = events.filter(pl.col("item_row").is_not_null()).select(
        "user_id",
        "item_row",
        event=pl.col("event").replace_strict(codes, default=0, return_dtype=pl.Int16),
        time=pl.col("timestamp").dt.epoch("us") // 1_000_000,
        weight=pl.col("weight").cast(pl.Float32),
    )
    sizes = here.group_by("user_id").len()
    counted = users.to_frame().join(sizes, on="user_id", how="left", maintain_order="left")
    return Histories(
        user_ids=tuple(users),
        offsets=_offsets(counted["len"].fill_null(0).to_numpy()),
        items=here["item_row"].to_numpy(writable=True),
        events=here["event"].to_numpy(writable=True),
        times=here["time"].to_numpy(writable=True),
        weights=here["weight"].to_numpy(writable=True),
    )


def together(parts: Iterable[Histories], aside: Path | None = None) -> Histories:
    """Histories of users of whom each is in one of the parts, in the order of their ids.

    Args:
        parts: taken one after the other.
        aside: a folder for the arrays of a large log; None for memory.

    Raises:
        ValueError: there is no part.
        ResourceFault: there is no room in the folder.
    """
    found = [_laid_aside(part, aside) for part in parts]
    if not found:
        raise ValueError("no histories to put together")
    ids = pl.concat([pl.Series(part.user_ids, dtype=pl.String) for part in found])
    sizes = np.concatenate([np.diff(part.offsets) for part in found])
    order = ids.arg_sort().to_numpy()
    offsets = _offsets(sizes[order])
    starts = np.empty(len(order), np.int64)
    starts[order] = offsets[:-1]
    whole = _empty(found[0], int(offsets[-1]), aside)
    behind = 0  # users of the parts before
    for part in found:
        moved = starts[behind : behind + len(part)] - part.offsets[:-1]
        place = np.arange(len(part.items)) + np.repeat(moved, np.diff(part.offsets))
        for column, values in zip(whole, _columns(part), strict=True):
            column[place] = values
        behind += len(part)
    return Histories(tuple(ids.gather(order)), offsets, *whole, aside)


def _laid_aside(histories: Histories, folder: Path | None) -> Histories:
    """The same; its arrays of events in the folder."""
    columns = _empty(histories, len(histories.items), folder)
    for column, values in zip(columns, _columns(histories), strict=True):
        column[:] = values
    return Histories(histories.user_ids, histories.offsets, *columns, folder)


def _empty(like: Histories, events: int, folder: Path | None) -> tuple[Any, Any, Any, Any]:
    """Arrays for so many events, to be filled."""
    columns = _columns(like)
    room = memory.spilled(events * sum(column.itemsize for column in columns), folder, memory.SMALL)
    made, begin = list(columns), 0
    for place in sorted(range(len(columns)), key=lambda place: -columns[place].itemsize):
        end = begin + events * columns[place].itemsize  # the widest first, so that all are aligned
        made[place], begin = room[begin:end].view(columns[place].dtype), end
    items, codes, times, weights = made
    return items, codes, times, weights


def _columns(histories: Histories) -> tuple[Any, Any, Any, Any]:
    return histories.items, histories.events, histories.times, histories.weights


def before(histories: Histories, cut_seconds: float) -> Histories:
    """Only what happened before a moment. Every user stays, also with nothing left."""
    return kept(histories, histories.times < cut_seconds)


def active(histories: Histories) -> Histories:
    """Only the users who have an event."""
    sizes = np.diff(histories.offsets)
    if sizes.all():
        return histories
    users = np.flatnonzero(sizes)
    ids = tuple(histories.user_ids[user] for user in users)
    return replace(histories, user_ids=ids, offsets=_offsets(sizes[users]))


def last(histories: Histories, count: int) -> Histories:
    """The last `count` events of each user.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count must not be negative, not {count}")
    ends = np.repeat(histories.offsets[1:], np.diff(histories.offsets))
    return kept(histories, np.arange(len(histories.items)) >= ends - count)


def select(histories: Histories, user_ids: Sequence[str]) -> Histories:
    """Histories of exactly these users in this order; unknown ones get an empty history."""
    if tuple(user_ids) == histories.user_ids:
        return histories
    rows = Vocabulary(histories.user_ids).rows(user_ids)
    return replace(of(histories, rows), user_ids=tuple(user_ids))


def of(histories: Histories, users: Rows) -> Histories:
    """Histories of the users at these places `[n]`, in this order; -1 is somebody without any."""
    known = users >= 0
    sizes = np.where(known, np.diff(histories.offsets, append=0)[users], 0)
    starts = np.where(known, histories.offsets[users], 0)
    offsets = _offsets(sizes)
    columns = _empty(histories, int(offsets[-1]), histories.aside)
    for some, events in pieces.of_users(offsets):
        moved = starts[some] - offsets[some]
        place = np.arange(events.start, events.stop) + np.repeat(moved, sizes[some])
        for column, values in zip(columns, _columns(histories), strict=True):
            column[events] = values[place]
    ids = tuple(histories.user_ids[user] if user >= 0 else "" for user in users)
    return Histories(ids, offsets, *columns, histories.aside)


def places(ids: pl.Series, known: pl.Series) -> Rows:
    """Places of `ids [n]` among the sorted `known`; -1 where an id is unknown.

    It holds nothing besides, where a vocabulary of millions of users takes a hundred bytes each.
    """
    if known.is_empty():
        return np.full(len(ids), -1, np.int64)
    found = known.search_sorted(ids).clip(upper_bound=len(known) - 1)
    there = (known.gather(found) == ids).to_numpy()
    return np.where(there, found.cast(pl.Int64).to_numpy(), -1)


def block(histories: Histories, start: int, stop: int) -> Histories:
    """The histories of users `start:stop`."""
    offsets = histories.offsets[start : stop + 1]
    events = slice(int(offsets[0]), int(offsets[-1]))
    return Histories(
        user_ids=histories.user_ids[start:stop],
        offsets=offsets - offsets[0],
        items=histories.items[events],
        events=histories.events[events],
        times=histories.times[events],
        weights=histories.weights[events],
    )


def counts(histories: Histories, n_items: int) -> Floats:
    """Events per item, float64 `[N]`; repeats count each time."""
    return popularity.counts(histories.items, n_items).astype(np.float64)


def _offsets(sizes: npt.NDArray[np.integer]) -> Rows:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def kept(histories: Histories, keep: Mask) -> Histories:
    """The events where `keep`; all users. No copy is made where that is all of them."""
    if keep.all():
        return histories
    columns = _empty(histories, int(keep.sum()), histories.aside)
    offsets, end = np.zeros(len(histories) + 1, np.int64), 0
    for users, events in pieces.of_users(histories.offsets):
        here = keep[events]
        before = np.concatenate([[0], np.cumsum(here)]) + end
        ends = slice(users.start + 1, users.stop + 1)
        offsets[ends] = before[histories.offsets[ends] - events.start]
        for column, values in zip(columns, _columns(histories), strict=True):
            column[end : before[-1]] = values[events][here]
        end = int(before[-1])
    return Histories(histories.user_ids, offsets, *columns, histories.aside)

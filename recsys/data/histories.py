"""Histories as flat arrays: what each user did, in order. Read by all that looks at users."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.vocabulary import Vocabulary

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """Events of U users, user by user, each oldest first.

    Attributes:
        user_ids: U ids.
        offsets: `[U + 1]`: user u owns the events `offsets[u]:offsets[u + 1]`.
        items: `[E]` item rows.
        events: `[E]` event codes: position among the event names + 1.
        times: `[E]` epoch seconds.
        weights: `[E]` float32 event weights.
    """

    user_ids: tuple[str, ...]
    offsets: Integers
    items: Integers
    events: Integers
    times: Integers
    weights: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def lengths(self) -> Integers:
        """`[U]` events per user."""
        return np.diff(self.offsets)

    @property
    def users(self) -> Integers:
        """`[E]` the user of each event."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)


def build(
    frame: pl.DataFrame,
    items: Vocabulary,
    event_names: Sequence[str],
    user_ids: Sequence[str] | None = None,
) -> Histories:
    """Histories of a cleaned log.

    Args:
        frame: user_id, item_id, timestamp, event, weight, sorted by (user_id, timestamp, sequence).
        items: the catalogue's vocabulary; events on other items are left out.
        event_names: event names in the order of their codes.
        user_ids: the users and their order; those without events have empty histories. None takes
            the users of the frame, sorted.
    """
    chosen = sorted(frame["user_id"].unique()) if user_ids is None else user_ids
    known = pl.DataFrame(
        {"item_id": pl.Series(items.ids, dtype=pl.String), "item": np.arange(len(items))}
    )
    users = pl.DataFrame(
        {"user_id": pl.Series(chosen, dtype=pl.String), "user": np.arange(len(chosen))}
    )
    codes = {name: code for code, name in enumerate(event_names, start=1)}
    rows = (
        frame.with_row_index("order")
        .join(known, on="item_id")
        .join(users, on="user_id")
        .sort("user", "order")
        .select(
            "user",
            "item",
            code=pl.col("event").replace_strict(codes, default=0, return_dtype=pl.Int64),
            time=pl.col("timestamp").dt.epoch("s"),
            weight=pl.col("weight").cast(pl.Float32),
        )
    )
    lengths = np.bincount(rows["user"].to_numpy(), minlength=len(chosen))
    return Histories(
        tuple(chosen),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rows["item"].to_numpy().astype(np.int64),
        rows["code"].to_numpy().astype(np.int64),
        rows["time"].to_numpy().astype(np.int64),
        rows["weight"].to_numpy(),
    )


def select(histories: Histories, users: npt.ArrayLike) -> Histories:
    """The histories of some users (positions, or a bool mask over all), in that order."""
    chosen = np.asarray(users)
    if chosen.dtype == np.bool_:
        chosen = np.flatnonzero(chosen)
    lengths = histories.lengths[chosen]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.repeat(histories.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
    ids = tuple(histories.user_ids[int(user)] for user in chosen)
    return _taken(histories, ids, offsets, places.astype(np.int64))


def before(histories: Histories, at_seconds: float) -> Histories:
    """The same users with only the events before a moment."""
    return _filtered(histories, histories.times < at_seconds)


def last(histories: Histories, count: int) -> Histories:
    """The same users with only their newest `count` events."""
    to_end = np.repeat(histories.offsets[1:], histories.lengths) - np.arange(len(histories.items))
    return _filtered(histories, to_end <= count)


def counts(histories: Histories, n_items: int) -> npt.NDArray[np.float64]:
    """`[N]` events per item."""
    return np.bincount(histories.items, minlength=n_items).astype(np.float64)


def _filtered(histories: Histories, kept: npt.NDArray[np.bool_]) -> Histories:
    passed = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return _taken(histories, histories.user_ids, passed[histories.offsets], np.flatnonzero(kept))


def _taken(
    histories: Histories, ids: tuple[str, ...], offsets: Integers, places: Integers
) -> Histories:
    return Histories(
        ids,
        offsets,
        histories.items[places],
        histories.events[places],
        histories.times[places],
        histories.weights[places],
    )

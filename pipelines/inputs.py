"""What the stages after ingest share: the catalogue, the cleaned log, the split, item features."""

import datetime
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.settings import Settings
from recsys import artefacts
from recsys.data import buckets, catalogue, histories, pieces, splits
from recsys.data.histories import Histories
from recsys.data.splits import DAY_SECONDS, Split
from recsys.errors import InputFault, UsageFault
from recsys.progress import say
from recsys.serving import categories, newcomers
from recsys.serving.moment import Shop
from recsys.serving.newcomers import NewcomerSettings
from recsys.vocabulary import Vocabulary

EARLIEST_ZONE = datetime.timedelta(hours=14)  # ahead of UTC: Kiritimati
USUAL_DAYS, LEAST_OF_A_DAY, LONGEST_GAP_DAYS = 28, 0.01, 366
BOTH = frozenset({"user_id", "item_id"})
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """The live catalogue and log.

    Attributes:
        items: the catalogue, sorted by item_id; a row's position is the item's row.
        users: the user table, or None.
        vocabulary: item ids in row order.
        events: of the whole log, compact: what training and the night read.
        catalogue, interactions: their folders.
        whole: which of user_id and item_id are whole numbers outside.
    """

    items: pl.DataFrame
    users: pl.DataFrame | None
    vocabulary: Vocabulary
    events: Histories
    catalogue: Path
    interactions: Path
    whole: frozenset[str]

    @functools.cached_property
    def log(self) -> pl.DataFrame:
        """The log as a table, sorted by (user_id, timestamp, sequence); for looking into it.

        It takes several times the memory of `events`, so it is read when somebody asks.
        """
        return buckets.read_all(self.interactions)

    def log_before(self, at_seconds: int) -> pl.DataFrame:
        """The table before a moment."""
        return self.log.filter(pl.col("timestamp").dt.epoch("us") < at_seconds * 1_000_000)

    def split(self, settings: Settings) -> Split:
        """The log's train, validation and test parts."""
        return splits.split(self.events, settings.split)

    def histories(self, settings: Settings, frame: pl.DataFrame) -> Histories:
        """Histories of the users of `frame`."""
        return histories.build(frame, self.vocabulary, settings.event_names)

    def titles(self) -> dict[str, str]:
        """Title by item id; empty for an item without one."""
        items = self.items
        return dict(zip(items["item_id"], items["title"].fill_null(""), strict=True))

    @property
    def integer_ids(self) -> dict[str, bool]:
        """Which id columns of published files are whole numbers outside."""
        return {
            "user_id": "user_id" in self.whole,
            "item_id": "item_id" in self.whole,
            "similar_item_id": "item_id" in self.whole,
        }

    def newest_seconds(self) -> int:
        """Epoch seconds of the newest event.

        Raises:
            InputFault: there is none.
        """
        if not len(self.events.items):
            raise InputFault("the log holds no events", where="interactions", fix="ingest a log")
        return int(self.events.times.max())

    def next_day(self) -> datetime.date:
        """The day after the newest one that has events worth the name.

        A producer's clock that runs hours ahead must not move the night: a last day with less than
        a hundredth of what days usually have does not count, and whoever watches is told.

        Raises:
            InputFault: there is no event.
        """
        end = self.newest_seconds() // DAY_SECONDS
        counts = np.zeros(end - int(self.events.times.min()) // DAY_SECONDS + 1, np.int64)
        for piece in pieces.of_events(len(self.events.times)):  # of the days, the newest first
            back = end - self.events.times[piece] // DAY_SECONDS
            counts += np.bincount(back, minlength=len(counts))
        days = np.flatnonzero(counts)[:USUAL_DAYS]
        worthy = days[counts[days] >= LEAST_OF_A_DAY * np.median(counts[days])]
        newest = datetime.date(1970, 1, 1) + datetime.timedelta(days=end)
        last = newest - datetime.timedelta(days=int(worthy[0]))
        if last != newest:
            say(
                f"warning: after {last} there are only a few events, the last on {newest}: a "
                "clock that runs ahead? They wait for their day; --date names another"
            )
        return last + datetime.timedelta(days=1)

    def before(self, at_seconds: int) -> Histories:
        """The events before a moment, of the users who have any."""
        return histories.active(histories.before(self.events, at_seconds))

    def people(self, past: Histories) -> pl.Series:
        """Everyone who gets a list: all users of the table, and all with an event; sorted."""
        known = [] if self.users is None else [self.users["user_id"]]
        acted = pl.Series("user_id", past.user_ids, dtype=pl.String)
        return pl.concat([*known, acted]).unique().sort()

    def created_seconds(self) -> Floats:
        """`[N]` when items appeared, NaN where unknown."""
        return self.items["created_at"].dt.epoch("ms").cast(pl.Float64).to_numpy() / 1000

    def eligible(
        self, at_seconds: float, *, today: bool, blocked: tuple[str, ...] = ()
    ) -> npt.NDArray[np.bool_]:
        """`[N]` which items may be listed at a moment; arguments as of `shop`."""
        created = self.created_seconds()
        eligible = np.isnan(created) | (created <= at_seconds)
        if today:
            eligible &= self.items["available"].to_numpy()
        rows = self.vocabulary.rows(blocked)
        eligible[rows[rows >= 0]] = False
        return eligible

    def shop(
        self,
        past: Histories,
        at_seconds: float,
        *,
        today: bool,
        blocked: tuple[str, ...] = (),
        segments: NewcomerSettings | None = None,
    ) -> Shop:
        """What lists of a moment know besides the model.

        Args:
            past: all events before the moment.
            at_seconds: the moment, epoch seconds.
            today: whether the catalogue's availability is that of the moment; a past moment only
                knows which items were there.
            blocked: ids that must not be listed.
            segments: of users without history; None where lists of such users are not asked for.
        """
        eligible = self.eligible(at_seconds, today=today, blocked=blocked)
        arrivals = None
        if self.users is not None and segments is not None:
            arrivals = newcomers.fit(self.users, past, len(eligible), segments)
        return Shop(
            eligible,
            past.items,
            past.times,
            self.created_seconds(),
            self.vocabulary.checksum,
            self.items["price"].to_numpy(),
            categories.categorised(self.items["category"].fill_null([]).to_list()),
            arrivals,
            self.users,
        )


def load(settings: Settings) -> Inputs:
    """The live catalogue and log, checked against their manifests.

    Raises:
        InputFault: ingest has not run, or an artefact is damaged.
    """
    shop, _ = artefacts.current(settings.root / "catalogue", "catalogue")
    log, facts = artefacts.current(settings.root / "interactions", buckets.KIND)
    found = catalogue.load(shop)
    vocabulary = Vocabulary(found.items["item_id"])
    events = histories.together(
        (
            histories.build(rows, vocabulary, settings.event_names)
            for rows in buckets.read_each(log, histories.COLUMNS)
        ),
        settings.root,
    )
    return Inputs(
        found.items,
        found.users,
        vocabulary,
        events,
        shop,
        log,
        frozenset(facts["integer_ids"]) & (frozenset() if found.item_id_type == "str" else BOTH)
        | (frozenset(facts["integer_ids"]) & {"user_id"}),
    )


def named_day(date: str) -> datetime.date:
    """The day that somebody wrote.

    Raises:
        UsageFault: no such date.
    """
    try:
        return datetime.date.fromisoformat(date)
    except ValueError:
        raise UsageFault(
            "not a date", value=date, where="--date", fix="write YYYY-MM-DD, as 2026-10-30"
        ) from None


def refuse_future(day: datetime.date, now: datetime.datetime) -> None:
    """Refuses a day that has not begun in any time zone.

    Raises:
        UsageFault: with the day.
    """
    latest = (now + EARLIEST_ZONE).date()
    if day > latest:
        raise UsageFault(
            "the day has not begun yet", value=str(day), where="--date",
            fix=f"name a day up to {latest}, or add --allow-future",
        )  # fmt: skip


def moment(date: str, newest_seconds: int) -> tuple[datetime.date, int]:
    """The day that lists are for, and its beginning in epoch seconds (UTC).

    Lists for a day know what happened before it. Without a date it is the day after the newest
    event, never today: the same inputs give the same lists.

    Raises:
        UsageFault: no such date; or the day lies more than a year after the log.
    """
    newest = datetime.datetime.fromtimestamp(newest_seconds, datetime.UTC).date()
    day = named_day(date) if date else newest + datetime.timedelta(days=1)
    if (day - newest).days > LONGEST_GAP_DAYS:
        raise UsageFault(
            "the day lies more than a year after the log", value=str(day), where="--date",
            fix=f"the newest event is of {newest}: name a day that the log reaches to",
        )  # fmt: skip
    return day, int(
        datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()
    )

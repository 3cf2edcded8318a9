"""What the stages after ingest share: the catalogue, the cleaned log, the split, item features."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.settings import Settings
from recsys import artefacts
from recsys.data import buckets, catalogue, histories, splits
from recsys.data.histories import Histories
from recsys.data.splits import Split
from recsys.serving.recommend import Shop
from recsys.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """The live catalogue and log.

    Attributes:
        items: the catalogue, sorted by item_id; a row's position is the item's row.
        users: the user table, or None.
        vocabulary: item ids in row order.
        log: cleaned interactions, sorted by (user_id, timestamp, sequence).
        catalogue, interactions: their folders.
    """

    items: pl.DataFrame
    users: pl.DataFrame | None
    vocabulary: Vocabulary
    log: pl.DataFrame
    catalogue: Path
    interactions: Path

    def split(self, settings: Settings) -> Split:
        """The log's train, validation and test parts."""
        return splits.split(self.log, settings.split)

    def histories(self, settings: Settings, frame: pl.DataFrame) -> Histories:
        """Histories of the users of `frame`."""
        return histories.build(frame, self.vocabulary, settings.event_names)

    def created_seconds(self) -> Floats:
        """`[N]` when items appeared, NaN where unknown."""
        return self.items["created_at"].dt.epoch("ms").cast(pl.Float64).to_numpy() / 1000

    def shop(
        self, log: pl.DataFrame, at_seconds: float, *, today: bool, blocked: tuple[str, ...] = ()
    ) -> Shop:
        """What lists of a moment know besides the model.

        Args:
            log: all events before the moment.
            at_seconds: the moment, epoch seconds.
            today: whether the catalogue's availability is that of the moment; a past moment only
                knows which items were there.
            blocked: ids that must not be listed.
        """
        created = self.created_seconds()
        eligible = np.isnan(created) | (created <= at_seconds)
        if today:
            eligible &= self.items["available"].to_numpy()
        rows = self.vocabulary.rows(blocked)
        eligible[rows[rows >= 0]] = False
        known = log.select(
            pl.col("timestamp").dt.epoch("s"),
            row=pl.Series(self.vocabulary.rows(log["item_id"]), dtype=pl.Int64),
        )
        return Shop(
            eligible,
            known["row"].to_numpy(),
            known["timestamp"].to_numpy(),
            created,
            self.vocabulary.checksum,
        )


def load(settings: Settings) -> Inputs:
    """The live catalogue and log, checked against their manifests.

    Raises:
        InputFault: ingest has not run, or an artefact is damaged.
    """
    shop, _ = artefacts.current(settings.root / "catalogue", "catalogue")
    log, _ = artefacts.current(settings.root / "interactions", buckets.KIND)
    found = catalogue.load(shop)
    return Inputs(
        found.items,
        found.users,
        Vocabulary(found.items["item_id"]),
        buckets.read_all(log),
        shop,
        log,
    )


def moment(date: str, newest_seconds: int) -> tuple[datetime.date, int]:
    """The day that lists are for, and its beginning in epoch seconds (UTC).

    Lists for a day know what happened before it. Without a date it is the day after the newest
    event, never today: the same inputs give the same lists.

    Raises:
        UsageFault: no such date; or the day lies before the log or far after it.
    """
    from recsys.errors import UsageFault

    newest = datetime.datetime.fromtimestamp(newest_seconds, datetime.UTC).date()
    try:
        day = datetime.date.fromisoformat(date) if date else newest + datetime.timedelta(days=1)
    except ValueError:
        raise UsageFault(
            "not a date", value=date, where="--date", fix="write YYYY-MM-DD, as 2026-10-30"
        ) from None
    return day, int(
        datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()
    )

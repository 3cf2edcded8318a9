"""What the events of a log look like on a day, in numbers for the gates of the night.

Volume, age, concentration and drift, all from the log before a moment; what too few events could
tell is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data import drift

DAY_SECONDS = 86_400
WEEK, MONTH = 7, 28
MANY_USERS = 1_000
NOISE = 0.005
HOURS_A_BIN = 3
Floats = npt.NDArray[np.float64]


def of_log(
    past: Iterable[pl.DataFrame], items: pl.DataFrame, at_seconds: int, fewest: int
) -> dict[str, float]:
    """Numbers by name.

    `daily/all` and `daily/EVENT` are the events of the last 24 hours over the usual number of that
    weekday, moved towards 1 by the usual spread of a day (see `outlying`); `drift/*` are population
    stability indices of the last week against the four weeks before.

    Args:
        past: user_id, item_id, timestamp, event of all events before the moment, in one part or
            more, each user in one of them; ids may be numbers that stand for them.
        items: the catalogue: item_id, of the same kind, and category.
        at_seconds: the moment, epoch seconds.
        fewest: events below which a share or a ratio says nothing.
    """
    parts = [_tallied(part, at_seconds) for part in past]
    users = pl.concat([pl.Series(dtype=pl.UInt32), *(part.users for part in parts)])
    ages = [part.age_seconds for part in parts]
    total = int(users.sum())
    measures = {"events": float(total), "learners": float((users >= 2).sum())}
    if not total:
        return measures
    measures["newest_age_hours"] = min(age for age in ages if age is not None) / 3600
    if total >= fewest:
        largest = float(users.to_numpy().max()) / total
        measures["largest_user_share"] = largest
        if len(users) >= MANY_USERS:
            measures["largest_user_share_of_many"] = largest
    times, chosen = pl.concat([part.times for part in parts]), pl.concat([p.items for p in parts])
    last = chosen.filter(pl.col("day") == 0).group_by("item_id").agg(pl.col("len").sum())["len"]
    if (today := int(last.sum())) >= fewest:
        measures["largest_item_share_of_day"] = float(last.to_numpy().max()) / today
    return measures | _daily(times, fewest) | _drift(times, chosen, items)


@dataclass(frozen=True)
class _Tally:
    """Counts of a part of the log.

    Attributes:
        users: events of each of its users.
        age_seconds: of the newest event; None where there is none.
        times: `len` by day back, hour of the day, and event.
        items: `len` by item and day back, of the days that drift looks at.
    """

    users: pl.Series
    age_seconds: int | None
    times: pl.DataFrame
    items: pl.DataFrame


def _tallied(part: pl.DataFrame, at_seconds: int) -> _Tally:
    age = at_seconds - pl.col("timestamp").dt.epoch("s")
    known = part.select(
        "event",
        "item_id",
        day=(age - 1).floordiv(DAY_SECONDS).clip(0).cast(pl.Int32),
        hour=pl.col("timestamp").dt.hour() // HOURS_A_BIN,
    )
    count = pl.len().cast(pl.Int64).alias("len")
    recent = known.filter(pl.col("day") < WEEK + MONTH)
    return _Tally(
        part.group_by("user_id").len()["len"],
        part.select(age.min()).item(),
        known.group_by("day", "hour", "event").agg(count),
        recent.group_by("item_id", "day").agg(count),
    )


def outlying(today: float, before: Floats) -> float | None:
    """Today's count over the usual one, less what days differ anyhow.

    The usual count is the median of the same weekday where there are four weeks to go by, else of
    all days; the spread is the standard deviation of the days around their usual count. 1 within
    one such deviation, 0 on a day without events.

    Args:
        today: events of the last day.
        before: `[days]` events of the days before, yesterday first, at most 28 are looked at.

    Returns:
        0 or more; None with fewer than 7 days, or where a usual day has no events.
    """
    days = before[:MONTH]
    if len(days) < WEEK:
        return None
    if len(days) == MONTH:
        usual_by_weekday = np.median(days.reshape(-1, WEEK), axis=0)
        usual, rest = usual_by_weekday[-1], days - np.tile(usual_by_weekday, MONTH // WEEK)
    else:
        usual = np.median(days)
        rest = days - usual
    if usual <= 0:
        return None
    if not today:
        return 0.0
    ratio, spread = today / usual, float(rest.std(ddof=1)) / usual
    return float(min(1.0, ratio + spread) if ratio < 1 else max(1.0, ratio - spread))


def _daily(times: pl.DataFrame, fewest: int) -> dict[str, float]:
    """Today against the usual, over all events and of each kind that is usual enough."""
    span = int(times["day"].to_numpy().max()) + 1
    measures, counted = {}, {"all": np.zeros(span)}
    by_day = times.group_by("event", "day").agg(pl.col("len").sum())
    for kind, day, count in by_day.iter_rows():
        counted.setdefault(str(kind), np.zeros(span))[day] = count
        counted["all"][day] += count
    for kind, counts in sorted(counted.items()):
        value = outlying(counts[0], counts[1:])
        if value is not None and np.median(counts[1 : MONTH + 1]) >= fewest:
            measures[f"daily/{kind}"] = value
    return measures


def _drift(times: pl.DataFrame, chosen: pl.DataFrame, items: pl.DataFrame) -> dict[str, float]:
    """Stability of kinds of event, hours of the day and categories, where chance stays small."""
    recent = times.filter(pl.col("day") < WEEK + MONTH)
    category = items.select("item_id", category=pl.col("category").list.first())
    known = chosen.join(category, on="item_id", how="left")
    now = pl.col("day") < WEEK
    measures = {}
    for name, table in {"event": recent, "hour": recent, "category": known}.items():
        counts = table.drop_nulls(name).group_by(name).agg(
            now=pl.col("len").filter(now).sum(), before=pl.col("len").filter(~now).sum()
        )  # fmt: skip
        counts = counts.sort(name)
        if counts.height > 1 and drift.chance_level(counts["now"], counts["before"]) <= NOISE:
            measures[f"drift/{name}"] = drift.stability_index(counts["now"], counts["before"])
    return measures

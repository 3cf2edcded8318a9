"""Thirty nights of a shop in which nothing changes: no gate fails, at most two warn in all."""

import datetime

import numpy as np
import polars as pl

from recsys.data import log_measures
from recsys.serving import gates, list_measures, stored_lists
from recsys.serving.baseline import Baseline
from recsys.serving.gates import GateSettings

USERS, ITEMS, K, DAYS, NIGHTS = 1300, 1000, 10, 35, 30
START = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
NAMES = np.array([f"u{row:04d}" for row in range(USERS)])
ITEM_IDS = np.array([f"i{row:04d}" for row in range(ITEMS)])
CATALOGUE = pl.DataFrame(
    {"item_id": ITEM_IDS, "category": [[f"c{row % 12}"] for row in range(ITEMS)]}
)


def steady_log(random: np.random.Generator) -> pl.DataFrame:
    """Sessions of users who come at their own rates, busier on two days of the week."""
    rate = random.gamma(0.8, 0.35, USERS)
    appeal = 1 / np.arange(1, ITEMS + 1) ** 0.7
    frames = []
    for day in range(DAYS + NIGHTS):
        sessions = random.poisson(rate * (1.3 if day % 7 in (5, 6) else 0.9))
        comers = np.repeat(np.arange(USERS), sessions)
        users = np.repeat(comers, 1 + random.poisson(4, len(comers)))
        seconds = random.integers(0, 86_400, len(users))
        frames.append(pl.DataFrame({
            "user_id": NAMES[users],
            "item_id": ITEM_IDS[random.choice(ITEMS, len(users), p=appeal / appeal.sum())],
            "timestamp": START + datetime.timedelta(days=day),
            "seconds": seconds,
            "event": random.choice(["view", "cart", "purchase"], len(users), p=[0.7, 0.2, 0.1]),
        }))  # fmt: skip
    log = pl.concat(frames).with_columns(
        timestamp=pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
        + pl.duration(seconds=pl.col("seconds"))
    )
    return log.drop("seconds")


def lists(taste: np.ndarray, random: np.random.Generator) -> pl.DataFrame:
    """Each user's best items by a taste that wavers from night to night."""
    scores = taste + random.normal(0, 0.15, taste.shape)
    best = np.argsort(-scores, axis=1)[:, :K]
    return pl.DataFrame({
        "user_id": np.repeat(NAMES, K),
        "rank": np.tile(np.arange(1, K + 1), USERS),
        "item_id": ITEM_IDS[best].ravel(),
        "source": ["model"] * (USERS * K),
    })  # fmt: skip


def test_thirty_stationary_nights() -> None:
    random, settings = np.random.default_rng(20), GateSettings()
    log, taste = steady_log(random), random.normal(size=(USERS, ITEMS))
    released: list[dict[str, float]] = []
    before, warnings = None, []
    for night in range(NIGHTS):
        now = START + datetime.timedelta(days=DAYS + night)
        past = log.filter(pl.col("timestamp") < now)
        made = stored_lists.of([lists(taste, random).lazy()])
        measures = log_measures.of_log([past], CATALOGUE, int(now.timestamp()), settings.fewest)
        measures |= list_measures.health(made, pl.Series(NAMES), ITEMS, settings.fewest)
        measures |= {"rows_read": float(len(past)), "items": float(ITEMS)}
        if before is not None:
            measures |= list_measures.against(made, before, True, settings.fewest)
        last = released[-settings.window :]
        median = {name: float(np.median([one[name] for one in last if name in one]))
                  for one in last for name in one}  # fmt: skip
        known = Baseline(last=last[-1] if last else {}, median=median)
        table = gates.judge(settings, measures, known)
        assert not [gate.told() for gate in table if gate.verdict == "fail"]
        warnings += [(night, gate.told()) for gate in table if gate.verdict == "warn"]
        released.append(measures)
        before = made
    assert {"daily/all", "daily/purchase", "drift/category", "overlap"} <= set(released[-1])
    assert len(warnings) <= 2, warnings

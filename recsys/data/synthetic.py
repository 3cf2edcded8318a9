"""The sample shop's tastes and log: a world whose right answer is known.

Every item has a theme (told by its words), a colour and a pattern (seen in its photo) and a motion
(seen in its clip); every user has favourites in all three, which drift. What users look at follows
from both, so that a model that reads all three modalities can be told from one that does not.
`sample_shop` writes it as a dataset folder.
"""

import datetime
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recsys.settings import Section

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
DAY_SECONDS = 86_400
END = datetime.datetime(2026, 10, 30, tzinfo=datetime.UTC)
THEMES, HUES, PATTERNS, MOTIONS, CATEGORIES = 8, 6, 4, 6, 8
EVENTS = ("view", "cart", "purchase")


class ShopSettings(Section):
    """How large the sample shop is, and how strongly tastes speak."""

    items: int = Field(1500, ge=20, le=1_000_000, description="items of the catalogue")
    users: int = Field(3000, ge=10, le=10_000_000, description="users in the table")
    days: int = Field(60, ge=7, le=3650, description="days of the log, ending 2026-10-30 UTC")
    events: int = Field(200_000, ge=100, description="about how many views, carts and purchases")
    seed: int = Field(0, ge=0, description="fixes everything")
    taste: float = Field(2.6, ge=0, description="utility of a favourite value in one dimension")
    fashion: float = Field(0.4, ge=0, description="spread of the items' own log popularity")
    burst: float = Field(1.5, ge=0, description="utility of an item while it is talked about")
    novelty: float = Field(2.5, ge=0, description="utility of an item on its first day")
    novelty_days: float = Field(10.0, gt=0, description="days in which that fades to 1/e")
    first: float = Field(0.4, gt=0, le=1, description="share of items that are there on day one")
    drifting: float = Field(0.4, ge=0, le=1, description="share of users who change a favourite")
    no_photo: float = Field(0.12, ge=0, le=1, description="share of items without a photo")
    no_clip: float = Field(0.12, ge=0, le=1, description="share of items without a clip")
    broken: float = Field(0.002, ge=0, le=0.5, description="share of log rows broken on purpose")
    described: float = Field(
        0.0, ge=0, le=1,
        description="share of items whose description also says what photo and clip show",
    )  # fmt: skip
    photo_side: int = Field(96, ge=16, le=1024, description="pixels a side of a photo")
    clip_side: int = Field(64, ge=16, le=512, description="pixels a side of a clip")
    clip_frames: int = Field(16, ge=4, le=600, description="frames of a clip, 8 a second")


@dataclass(frozen=True)
class Truth:
    """The planted world: what the data set does not tell and a model has to find.

    Attributes:
        settings: that made it.
        theme, hue, pattern, motion, category: `[N]` codes of items.
        created_day: `[N]` day of the log on which an item appeared, fractional, 0 = first day.
        fashion: `[N]` log popularity.
        burst_day: `[N]` day on which an item's burst begins.
        likes: by dimension `[U, values]` utilities before the user's drift.
        later: the same after it.
        drift_day: `[U]` day of the drift; never reached by users who do not drift.
    """

    settings: ShopSettings
    theme: Integers
    hue: Integers
    pattern: Integers
    motion: Integers
    category: Integers
    created_day: Floats
    fashion: Floats
    burst_day: Floats
    likes: dict[str, Floats]
    later: dict[str, Floats]
    drift_day: Floats

    @property
    def start_seconds(self) -> int:
        """Epoch seconds of the log's first moment."""
        return int(END.timestamp()) - self.settings.days * DAY_SECONDS

    def tastes(self, users: Integers, day: float) -> Floats:
        """`[u, N]` utility of each item's theme, look and motion for users on a day."""
        late = (self.drift_day[users] <= day)[:, None]
        total = np.zeros((len(users), len(self.theme)))
        for name in ("theme", "hue", "pattern", "motion"):
            liked = np.where(late, self.later[name][users], self.likes[name][users])
            total += liked[:, getattr(self, name)]
        return total

    def attraction(self, day: float) -> Floats:
        """`[N]` what all users find in an item on a day: popularity, burst, novelty."""
        settings = self.settings
        age = day - self.created_day
        since = day - self.burst_day
        burst = settings.burst * ((since >= 0) & (since < 4))
        fresh: Floats = (
            settings.novelty * np.exp(-np.maximum(age, 0) / settings.novelty_days) * (age >= 0)
        )
        return self.fashion + burst + fresh

    def scores(self, users: Integers, at_seconds: float) -> Floats:
        """The oracle: `[u, N]` true utility at a moment; -inf for items not there yet."""
        day = (at_seconds - self.start_seconds) / DAY_SECONDS
        utility = self.tastes(users, day) + self.attraction(day)
        utility[:, self.created_day > day] = -np.inf
        return utility


@dataclass(frozen=True)
class Log:
    """Events in time order: `[E]` users, items, epoch seconds, and event codes of `EVENTS`."""

    users: Integers
    items: Integers
    seconds: Integers
    events: Integers


def plant(settings: ShopSettings) -> Truth:
    """Draws items and users of the world."""
    random = np.random.default_rng([settings.seed, 1])
    items, users, days = settings.items, settings.users, settings.days
    there = max(1, round(settings.first * items))
    later_days = np.linspace(0, days, items - there, endpoint=False)
    created = np.concatenate([np.full(there, -1.0), later_days + 0.001])
    likes = _favourites(random, users, settings)
    later = {name: values.copy() for name, values in likes.items()}
    changed = random.choice(list(likes), users)
    fresh = _favourites(random, users, settings)
    for name in likes:
        later[name][changed == name] = fresh[name][changed == name]
    drift = np.where(random.random(users) < settings.drifting, random.random(users) * days, np.inf)
    return Truth(
        settings,
        random.integers(0, THEMES, items),
        random.integers(0, HUES, items),
        random.integers(0, PATTERNS, items),
        random.integers(0, MOTIONS, items),
        random.integers(0, CATEGORIES, items),
        created,
        random.normal(0, settings.fashion, items),
        created.clip(0) + random.random(items) * days,
        likes,
        later,
        drift,
    )


def live(truth: Truth) -> Log:
    """Lets the users live: sessions of views chosen by utility, carts and purchases after them."""
    settings = truth.settings
    random = np.random.default_rng([settings.seed, 2])
    seen = np.zeros((settings.users, settings.items), np.bool_)
    begins = np.where(random.random(settings.users) < 0.3, random.random(settings.users), 0.0)
    begins *= settings.days * 0.9
    begins[: max(1, settings.users // 100)] = np.inf  # users of whom nothing is known
    views_per_session = 4.0
    carts = 1.43  # events per view, carts and purchases included
    active_days = settings.days - np.minimum(begins, settings.days)
    sessions = settings.events / carts / views_per_session
    chance = min(0.95, sessions / max(1.0, float(active_days.sum())))
    parts = []
    for day in range(settings.days):
        who = np.flatnonzero((begins <= day) & (random.random(settings.users) < chance))
        if len(who):
            parts.append(_day(truth, who, day, seen, random, views_per_session))
    users, items, seconds, events = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((events, users, seconds))
    return Log(users[order], items[order], seconds[order], events[order])


def _day(
    truth: Truth,
    who: Integers,
    day: int,
    seen: npt.NDArray[np.bool_],
    random: np.random.Generator,
    mean_views: float,
) -> tuple[Integers, Integers, Integers, Integers]:
    """One session of each active user; `seen` is brought up to date."""
    moment = random.random(len(who)) * 0.9 + 0.02  # of the day at which the session begins
    utility = truth.tastes(who, day) + truth.attraction(day + 0.5)
    gone = truth.created_day[None, :] > (day + moment)[:, None]
    utility = np.where(gone, -np.inf, utility) - 8.0 * seen[who]
    count = np.minimum(random.geometric(1 / mean_views, len(who)), 12)
    # the k best of utility + Gumbel noise are k draws without replacement from its softmax
    noisy = utility + random.gumbel(size=utility.shape)
    order = np.argsort(-noisy, axis=1)[:, : count.max()]
    place = np.arange(order.shape[1])
    chosen = (place < count[:, None]) & np.isfinite(np.take_along_axis(noisy, order, 1))
    row, step = np.nonzero(chosen)
    users, items = who[row], order[row, step]
    seen[users, items] = True
    begin = truth.start_seconds + ((day + moment) * DAY_SECONDS).astype(np.int64)
    seconds = begin[row] + step * 45 + random.integers(0, 30, len(row))
    fit = 1 / (1 + np.exp(-(utility[row, items] - 4.0) / 1.5))
    cart = random.random(len(row)) < 0.35 * fit + 0.05
    bought = cart & (random.random(len(row)) < 0.45)
    columns = (
        (users, items, seconds, np.zeros(len(row), np.int64)),
        (users[cart], items[cart], seconds[cart] + 12, np.ones(int(cart.sum()), np.int64)),
        (users[bought], items[bought], seconds[bought] + 40, np.full(int(bought.sum()), 2)),
    )
    together = [np.concatenate(column) for column in zip(*columns, strict=True)]
    return together[0], together[1], together[2], together[3]


def _favourites(
    random: np.random.Generator, users: int, settings: ShopSettings
) -> dict[str, Floats]:
    """Utilities `[U, values]`: the favourite value whole, the second one a little less.

    Colour and pattern are one dimension, the photo's, and share its strength.
    """
    strengths = {"theme": 1.0, "hue": 0.7, "pattern": 0.7, "motion": 1.0}
    values = {"theme": THEMES, "hue": HUES, "pattern": PATTERNS, "motion": MOTIONS}
    likes = {}
    for name, count in values.items():
        ranks = np.argsort(random.random((users, count)), axis=1)
        likes[name] = np.where(ranks == 0, 1.0, np.where(ranks == 1, 0.7, 0.0))
        likes[name] *= settings.taste * strengths[name]
    return likes

"""What each stage costs for each event, item and user, as measured; `recsys plan` multiplies.

One core of an AMD EPYC with AVX-512, default settings, one epoch, items with a title and no
pictures; `benchmarks/scale.py` measured it, and benchmarks/README.md shows the loads and how well
the constants met others. Training and the night: 2,000 to 200,000 users of 20 events. Ingest: 50
events, 16 buckets (its memory goes by the largest bucket, so more of them take less). `SEARCH` is
from `benchmarks/nightly_speed.py`. Memory of training and the night is what lies in no file, and
0.19 GB of libraries. Inferred: what an event and a user take of it by reading alone (4 million
events of 20,000 and of 200,000 users); and an event's time at night, one measured pass of catching
up and two more at what one costs. What an item takes of memory, and of time but at night, is from
20,000 users and a million items on an Intel Xeon at a load of 3, encoding their titles included.
"""

from dataclasses import dataclass

FITTED = 20_000  # users at most on whom the weights of the lists' terms are fitted


@dataclass(frozen=True)
class Cost:
    """Of the whole, of each event, item and user, and of each of some users, at most `most`."""

    one: float
    event: float
    item: float
    user: float = 0.0
    some: float = 0.0
    most: float = FITTED

    def of(self, users: float, events: float, items: float) -> float:
        """The cost of so many."""
        each = self.event * events + self.item * items + self.user * users
        return self.one + each + self.some * min(users, self.most)


@dataclass(frozen=True)
class StageCosts:
    """Of a stage: CPU seconds, bytes of peak memory, bytes that it publishes."""

    seconds: Cost
    memory: Cost
    disk: Cost


@dataclass(frozen=True)
class Measured:
    """How much there was in the largest run that constants are from, or were compared with."""

    events: float
    items: float


LARGEST = Measured(4_000_000, 1_000_000)  # of training and the night; ingest had 100 million events

# seconds for one score of exact search: (1 / 5,183 - 1 / 18,086 users a second) / 90,000 items
SEARCH = 1.53e-9

MEASURED = {
    "ingest": StageCosts(
        seconds=Cost(1.91, 1.92e-6, 14.7e-6),
        memory=Cost(597e6, 17.5, 517),
        disk=Cost(61e3, 10.0, 29.0),
    ),
    "train": StageCosts(
        seconds=Cost(4.8, 34.1e-6, 282e-6, some=0.83e-3),
        memory=Cost(649e6, 6.0, 2.5e3, user=274, some=34.2e3),
        disk=Cost(4.33e6, 10.2, 470),
    ),
    # one pass of catching up was measured with it: 40 microseconds an event; two more take 29 each.
    # Of lists of 20 places as many are held as a published part has rows for.
    "nightly": StageCosts(
        seconds=Cost(4.75, 98e-6, 168e-6),
        memory=Cost(677e6, 6.0, 2.4e3, user=274, some=7.0e3, most=100_000),
        disk=Cost(1.17e6, 13.1, 304),
    ),
}

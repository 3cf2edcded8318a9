"""What each stage costs for each event and item, as measured; `recsys plan` multiplies.

One core of an AMD EPYC with AVX-512, default settings, one epoch, 30 events a user, items with a
title and no pictures. Every number is a plane that `benchmarks/scale.py` laid through its smaller
loads (benchmarks/README.md shows how well it met the larger one), but what ingest takes for an
event: a line through four sizes, at 50 events a user and 16 buckets (its memory goes by the largest
bucket, so more of them take less). `SEARCH` is from `benchmarks/nightly_speed.py`. None is a guess:
what was not measured is not here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """`one + event * events + item * items`, of whatever unit these have."""

    one: float
    event: float
    item: float

    def of(self, events: float, items: float) -> float:
        """The cost of so many."""
        return self.one + self.event * events + self.item * items


@dataclass(frozen=True)
class StageCosts:
    """Of a stage: CPU seconds, bytes of peak memory, bytes that it publishes; None: unmeasured."""

    seconds: Cost
    memory: Cost | None
    disk: Cost


@dataclass(frozen=True)
class Measured:
    """How much there was in the largest run that constants are from, or were compared with."""

    events: float
    items: float


LARGEST = Measured(135_000, 8_000)  # of training and the night; ingest had 100 million events

# seconds for one score of exact search: (1 / 5,183 - 1 / 18,086 users a second) / 90,000 items
SEARCH = 1.53e-9

MEASURED = {
    "ingest": StageCosts(
        seconds=Cost(1.91, 1.92e-6, 2.55e-6),
        memory=Cost(597e6, 17.5, 262),
        disk=Cost(61e3, 10.0, 29.0),
    ),
    # peak memory of these two grows with what a batch and a block hold, not by a plane
    "train": StageCosts(
        seconds=Cost(3.85, 54.7e-6, 48.6e-6), memory=None, disk=Cost(4.33e6, 10.2, 470)
    ),
    "nightly": StageCosts(
        seconds=Cost(4.44, 114e-6, 208e-6), memory=None, disk=Cost(1.17e6, 13.1, 304)
    ),
}

"""`recsys plan`: what ingest, training and a night cost before anybody pays for it."""

from dataclasses import dataclass
from typing import Any

from pipelines.costs import LARGEST, MEASURED, SEARCH, StageCosts
from recsys.errors import UsageFault

NOTE = """\
CPU hours of one core (AMD EPYC, AVX-512), one epoch, default settings, items with a title. All
constants are measured (pipelines/costs.py). The night catches up with 14 days of 60. Not
measured, so not here: images and clips, `evaluate`, GPUs, several cores or machines, other
widths, approximate search."""


@dataclass(frozen=True)
class Load:
    """What there is to do: how many users and items, and events of each user."""

    users: float
    items: float
    events: float


@dataclass(frozen=True)
class Stage:
    """What a stage takes: CPU seconds, bytes of memory, bytes on disk."""

    name: str
    cpu_seconds: float
    memory: float
    disk: float


def run(load: Load) -> dict[str, Any]:
    """The stages' costs as a table and as numbers.

    Raises:
        UsageFault: a number that is not positive and finite.
    """
    for name, value in vars(load).items():
        if not 0 < value < float("inf"):
            raise UsageFault(
                f"--{name} has to be above 0 and finite", value=value, where="the command line",
                fix="say how many there are; 5e6 is five million",
            )  # fmt: skip
    made = [stage(name, load, costs) for name, costs in MEASURED.items()]
    lines = [f"{'stage':8} {'CPU hours':>12} {'memory GB':>12} {'disk GB':>12}"]
    lines += [
        f"{one.name:8} {one.cpu_seconds / 3600:12,.4f} {one.memory / 1e9:12,.3f} "
        f"{one.disk / 1e9:12,.3f}"
        for one in made
    ]
    beyond = max(load.users * load.events / LARGEST.events, load.items / LARGEST.items)
    if beyond > 1:
        lines.append(
            f"an extrapolation: {beyond:,.1f} times the largest load measured in training and the "
            f"night ({LARGEST.events:,} events, {LARGEST.items:,} items)"
        )
    return {"text": "\n".join([*lines, NOTE]), "stages": [vars(one) for one in made]}


def stage(name: str, load: Load, costs: StageCosts) -> Stage:
    """What a stage takes by the events and items it touches, and the pairs that it compares."""
    touched = load.users, load.users * load.events, load.items
    # validation ranks all items for each user; a night also finds similar items for each item
    rankers = {"train": load.users, "nightly": load.users + load.items}.get(name, 0)
    return Stage(
        name,
        costs.seconds.of(*touched) + rankers * load.items * SEARCH,
        costs.memory.of(*touched),
        costs.disk.of(*touched),
    )

"""Gates on what comes in, asked before a training: nothing is learned from a poisoned log.

The whole table is judged once more with the night's other numbers, before anything is published.
"""

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts
from recsys.data import buckets, log_measures, pieces
from recsys.data.histories import Histories
from recsys.serving import baseline, gates
from recsys.serving.gates import Gate


def measured(
    settings: Settings, found: Inputs, past: Histories, at_seconds: int
) -> dict[str, float]:
    """The numbers of catalogue and log, by name; what cannot be measured is absent.

    Args:
        settings: of the gates.
        found: catalogue and log.
        past: events before the moment.
        at_seconds: the moment, epoch seconds.
    """
    measures = of_rows(artefacts.read(found.interactions, buckets.KIND, check=False))
    log = _numbered(past, ("", *sorted(settings.event_names)))
    items = found.items.select("category", item_id=pl.int_range(pl.len(), dtype=pl.Int32))
    measures |= log_measures.of_log(log, items, at_seconds, settings.gates.fewest)
    eligible = found.eligible(at_seconds, today=True, blocked=settings.nightly.blocked)
    counts = {"items": len(found.vocabulary), "items_eligible": eligible.sum()}
    return measures | {name: float(count) for name, count in counts.items()}


def _numbered(past: Histories, events: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """The log as tables of some users each, in which numbers stand for ids."""
    sizes = np.diff(past.offsets)
    for users, piece in pieces.of_users(past.offsets):
        owners = np.repeat(np.arange(users.start, users.stop, dtype=np.int32), sizes[users])
        items, times = past.items[piece], past.times[piece]
        log = pl.DataFrame({"user_id": owners, "item_id": items, "timestamp": times})
        yield log.with_columns(
            pl.from_epoch("timestamp", "s").dt.replace_time_zone("UTC"),
            event=pl.Series(past.events[piece]).cast(pl.UInt16).cat.to(pl.Enum(events)),
        )


def of_rows(log: Mapping[str, Any]) -> dict[str, float]:
    """What became of the rows of the log's files, from the manifest of the interactions."""
    accounts = log["accounting"].values()
    read = sum(account["read"] for account in accounts)
    rows = {
        "quarantine_share": sum(account["quarantined"] for account in accounts),
        "duplicate_share": sum(account["duplicate"] for account in accounts),
        "unknown_item_share": log["filtered"].get("unknown_item", 0),
    }
    return {"rows_read": float(read)} | {name: rows[name] / max(1, read) for name in rows}


def refused(
    settings: Settings, run: Run, found: Inputs, day: datetime.date, at_seconds: int
) -> list[Gate]:
    """Gates that catalogue and log fail, against the last good releases; kept in the record."""
    measures = measured(settings, found, found.before(at_seconds), at_seconds)
    before = baseline.find(settings.root / "releases", str(day), settings.gates.window)
    table = gates.judge(settings.gates, measures, before)
    run.facts |= {"gates": gates.rows(table), "measures": measures, "baseline": before.names}
    return [gate for gate in table if gate.verdict == "fail"]

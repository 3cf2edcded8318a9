"""`recsys check`: audits logs and catalogue without writing anything but the run's record."""

import time
from pathlib import Path
from typing import Any

from pipelines.runs import Run
from pipelines.settings import Settings
from recsys.data import catalogue, erasure, faults, interactions, summary


def run(settings: Settings, run: Run) -> dict[str, Any]:
    """What is wrong with the data, where, how much, and what it would do to training.

    Budgets that would refuse the data are lifted, so that everything is seen at once.

    Raises:
        InputFault: a file that cannot be read as a whole.
    """
    lifted = {"quarantine_fail": 1.0, "unknown_items_fail": 1.0}
    data = settings.data.model_copy(update=lifted)
    shop = settings.catalogue.model_copy(update={"media_fail": 1.0})
    with run.timed("check"):
        erased = erasure.read(settings.root)
        found = catalogue.read(data, shop, Path(data.folder), erased)
        log = interactions.ingest(data, found.items["item_id"], time.time(), erased)
        audit = summary.audit(log.frame, found.items)
    lines = ["rows"]
    lines += [
        f"  {file}: {account['read']:,} read = "
        + " + ".join(f"{account[fate]:,} {fate}" for fate in interactions.FATES)
        for file, account in log.accounting.items()
    ]
    lines += ["refused rows and cells"]
    lines += [f"  {m}" for m in faults.messages(log.quarantine) + faults.messages(found.quarantine)]
    lines += ["warnings", *(f"  {line}" for line in (*found.warnings, *log.warnings))]
    lines += [f"{audit['events']:,} events of {audit['users']:,} users on {audit['items']:,} items"]
    lines += [
        f"  {row['verdict']:4} {row['name']}: {_shown(row['value'])}; {row['means']}"
        for row in audit["findings"]
    ]
    return {
        "text": "\n".join(lines),
        "accounting": log.accounting,
        "quarantine": faults.counts(log.quarantine),
        "catalogue": found.counts,
        "warnings": [*found.warnings, *log.warnings],
        "audit": audit,
    }


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

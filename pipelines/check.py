"""`recsys check`: audits logs and catalogue; writes the run's record, and a mirror, no more."""

import time
from pathlib import Path
from typing import Any

from pipelines import ingest
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys.data import catalogue, erasure, faults, interactions, item_media, log_items, summary
from recsys.data.accounts import FATES, Account
from recsys.data.catalogue import Catalogue
from recsys.data.item_cells import MEDIA
from recsys.errors import Fault, InputFault

EXAMPLES = 3  # of each kind of refused row


def run(settings: Settings, run: Run) -> dict[str, Any]:
    """What is wrong with the data, where, how much, and what it would do to training.

    Budgets that would refuse the data are lifted, so that everything is seen at once; what they
    would refuse stands in `refusals`.

    Raises:
        InputFault: a file that cannot be read as a whole; these and others as `ingest.bring`.
    """
    lifted = {"quarantine_fail": 1.0, "unknown_items_fail": 1.0}
    data = settings.data.model_copy(update=lifted)
    shop = settings.catalogue.model_copy(update={"media_fail": 1.0})
    ingest.bring(settings, run)
    with run.timed("check"):
        erased = erasure.read(settings.root)
        from_log = log_items.read(data, time.time(), erased)
        found = catalogue.read(data, shop, Path(data.folder), erased, from_log)
        log = interactions.ingest(data, found.items["item_id"], time.time(), erased)
        account = log.account
        audit = summary.audit(log.frame, found.items)
    result = {
        "accounting": account.accounting,
        "quarantine": faults.counts(account.quarantine),
        "catalogue": found.counts,
        "warnings": [*found.warnings, *account.warnings],
        "refusals": _refusals(settings, found, account),
        "audit": audit,
    }
    bad = [line for part in (account, found) for line in faults.messages(part.quarantine, EXAMPLES)]
    return {"text": "\n".join(_lines(result, bad)), **result}


def judge(result: dict[str, Any]) -> None:
    """Refuses what a night would refuse, once it has been shown.

    Raises:
        InputFault: with the reasons.
    """
    if refusals := result.get("refusals"):
        raise InputFault(
            "a night would refuse this data: " + "; ".join(refusals),
            fix="mend the data, or allow more in the settings that are named",
        )


def _refusals(settings: Settings, found: Catalogue, account: Account) -> list[str]:
    """What the budgets say that were lifted."""
    data, counts = settings.data, found.counts
    fates = {fate: sum(file[fate] for file in account.accounting.values()) for fate in ("read",
             *FATES)}  # fmt: skip
    shares = [
        ("rows of interactions are bad", fates["quarantined"], fates["read"],
         "data.quarantine_fail", data.quarantine_fail),
        ("rows of items are bad", counts["rows_quarantined"], counts["rows"],
         "data.quarantine_fail", data.quarantine_fail),
        ("rows are on items outside the catalogue", account.filtered.get("unknown_item", 0),
         fates["read"] - fates["quarantined"], "data.unknown_items_fail", data.unknown_items_fail),
    ]  # fmt: skip
    told = [
        f"{part:,} of {whole:,} {what} ({key} is {most:.0%})"
        for what, part, whole, key, most in shares
        if part > most * whole
    ]
    try:
        item_media.budget(counts, 1.0, settings.catalogue.media_fail)
    except Fault as fault:
        told.append(f"{fault.what} (catalogue.media_fail)")
    if not found.items["available"].any():
        told.append(f"none of {counts['items']:,} items is available: nothing can be listed")
    return told + ["no events are left"] * (not fates["kept"])


def _lines(result: dict[str, Any], bad: list[str]) -> list[str]:
    audit, counts = result["audit"], result["catalogue"]
    has = ", ".join(f"{counts[f'with_{name}']:,} with {name}" for name in catalogue.CONTENT)
    lines = ["rows"]
    lines += [
        f"  {file}: {account['read']:,} read = "
        + " + ".join(f"{account[fate]:,} {fate}" for fate in FATES)
        for file, account in result["accounting"].items()
    ]
    lines += [f"  catalogue: {counts['items']:,} items, {has}"]
    lines += [
        f"  {counts[f'{name}_absent']:,} of {counts[f'{name}_named']:,} {name} files are not there"
        for name in MEDIA
        if counts[f"{name}_absent"]
    ]
    if bad:
        lines += ["refused rows and cells", *(f"  {line}" for line in bad)]
    if result["warnings"]:
        lines += ["warnings", *(f"  {line}" for line in result["warnings"])]
    lines += [
        f"{audit['events']:,} events of {audit['users']:,} users on {audit['items']:,} items, "
        f"{audit['oldest'] or '-'} to {audit['newest'] or '-'}"
    ]
    lines += [
        f"  {row['verdict']:4} {row['name'].replace('_', ' ')}: {_shown(row['value'])}"
        + (f"; {row['means']}" if row["verdict"] == "warn" else "")
        for row in audit["findings"]
    ]
    return lines


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_shown(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"

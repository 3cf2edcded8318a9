"""`recsys import`: a public data set, as its authors distribute it, into a dataset folder."""

from pathlib import Path
from typing import Any, Literal, get_args

from pipelines.settings import Settings
from recsys.data.importers import (
    amazon_reviews,
    folder,
    h_and_m,
    importing,
    mapping,
    microlens,
    mmrec,
    movielens,
    origin,
)
from recsys.data.importers.plan import Plan
from recsys.errors import UsageFault

Source = Literal["movielens", "amazon-reviews-2023", "microlens", "mmrec", "h-and-m", "mapping"]


def run(settings: Settings, source: str, path: Path, out: Path) -> dict[str, Any]:
    """Makes the dataset folder `out`, with a settings file for the other commands.

    Args:
        settings: `data` says how many rows may be refused, `mapping` how to read any tables.
        source: one of `Source`.
        path: the unpacked folder or the .zip file.
        out: the dataset folder; it must not exist.

    Raises:
        UsageFault: no such source, or the mapping is incomplete.
        InputFault: the files are not what the source's format says.
    """
    files = origin.opened(path, settings.data.max_ratio)
    plan = _plan(source, files, settings)
    made = importing.carry_out(plan, files, out, source, settings.data)
    lines = [line for account in made.accounts for line in account.lines()]
    lines += [f"{name}: {count:,}" for name, count in made.counts.items()]
    lines += [f"note: {note}" for note in made.notes]
    config = out / folder.SETTINGS
    lines += [f"dataset: {out}", f"next: recsys check --config {config}"]
    return {
        "text": "\n".join(lines),
        "dataset": str(out),
        "config": str(config),
        "files": [account.facts() for account in made.accounts],
        "counts": made.counts,
        "notes": list(made.notes),
    }


def _plan(source: str, files: origin.Origin, settings: Settings) -> Plan:
    match source:
        case "movielens":
            return movielens.plan(files)
        case "amazon-reviews-2023":
            return amazon_reviews.plan(files)
        case "microlens":
            return microlens.plan(files)
        case "mmrec":
            return mmrec.plan(files)
        case "h-and-m":
            return h_and_m.plan(files)
        case "mapping":
            return mapping.plan(files, settings.mapping, settings.data)
        case _:
            raise UsageFault(
                "no such source", value=source, where="SOURCE",
                fix=f"one of: {', '.join(get_args(Source))}",
            )  # fmt: skip

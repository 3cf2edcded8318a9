"""`recsys ingest`: the dataset folder into a catalogue and cleaned buckets, all rows accounted."""

import hashlib
import time
from pathlib import Path
from typing import Any

from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts, durable
from recsys.data import buckets, catalogue, erasure, interactions, log_items, mirror, tables
from recsys.data.accounts import FATES, Account
from recsys.data.interactions import Keep
from recsys.errors import InputFault
from recsys.progress import say
from recsys.settings import fingerprint

KEPT = "event_files"


def run(settings: Settings, run: Run) -> dict[str, Any]:
    """Reads catalogue and logs, checks them, publishes both; unchanged input is not read again.

    Raises:
        InputFault: input that cannot be trusted, or more bad rows than the settings allow.
    """
    bring(settings, run)
    with run.timed("ingest"):
        shop = read_catalogue(settings)
        log = read_log(settings, shop)
    result = summary(shop, log)
    run.facts["ingest"] = {key: value for key, value in result.items() if key != "text"}
    for line in result["warnings"]:
        say(f"warning: {line}")
    return result


def bring(settings: Settings, run: Run) -> None:
    """Brings the mirror of a dataset in an object store up to date; a folder is there already.

    Raises:
        UsageFault, InputFault, ResourceFault: as `mirror.update`.
    """
    if settings.data.address:
        with run.timed("mirror"):
            run.facts["mirror"] = mirror.update(settings.data)


def read_catalogue(settings: Settings) -> Path:
    """Reads and publishes the catalogue; the same content keeps its version.

    Media files are hashed every time, because a picture may change under its old name.
    """
    root = settings.root / "catalogue"
    erased = erasure.read(settings.root)
    folder, kept = Path(settings.data.folder), settings.root / KEPT
    from_log = log_items.read(settings.data, time.time(), erased, kept)
    found = catalogue.read(settings.data, settings.catalogue, folder, erased, from_log)
    name = f"catalogue-{catalogue.fingerprint(found)}"
    if not _reusable(root, name, "catalogue"):
        catalogue.write(found, root, name)
    artefacts.point(root, name)
    return root / name


def read_log(settings: Settings, shop: Path) -> Path:
    """Cleans and publishes the interactions; the same files, rules, erasures keep their version.

    Of a log in many files only those are read that are new or have changed.
    """
    root = settings.root / "interactions"
    paths = tables.find(Path(settings.data.folder), interactions.TABLE)
    erased = erasure.read(settings.root)
    rules = fingerprint(settings.data, without="folder")
    digest = hashlib.sha256(f"{rules} {shop.name}{erased.digest}".encode())
    for path in paths:
        digest.update(f"{path.name} {durable.sha256(path)}".encode())
    name = f"log-{digest.hexdigest()[:16]}"
    if not paths or not _reusable(root, name, buckets.KIND):
        items = catalogue.load(shop).items["item_id"]
        kept = settings.root / KEPT

        def clean(keep: Keep) -> Account:
            now, engine = time.time(), settings.engine
            return interactions.clean(settings.data, items, now, keep, erased, kept, engine)

        buckets.write(root, name, clean, settings.data.buckets, {"catalogue": shop.name})
    artefacts.point(root, name)
    return root / name


def summary(shop: Path, log: Path) -> dict[str, Any]:
    """What went in, for people and machines."""
    items = artefacts.read(shop, "catalogue", check=False)
    events = artefacts.read(log, buckets.KIND, check=False)
    accounting = events["accounting"]
    total = {fate: sum(file[fate] for file in accounting.values()) for fate in ("read", *FATES)}
    lines = [
        f"{file}: {account['read']:,} rows = "
        + " + ".join(f"{account[fate]:,} {fate}" for fate in FATES)
        for file, account in accounting.items()
    ]
    counts = ", ".join(f"{value:,} {name}" for name, value in items["counts"].items() if value)
    return {
        "text": "\n".join([f"catalogue: {counts}", *lines, f"log: {log}", f"catalogue: {shop}"]),
        "catalogue": str(shop),
        "log": str(log),
        "items": items["counts"],
        "rows": total,
        "accounting": accounting,
        "filtered": events["filtered"],
        "warnings": [*items.get("warnings", []), *events["warnings"]],
    }


def _reusable(root: Path, name: str, kind: str) -> bool:
    """Whether that version is there and undamaged."""
    if name not in artefacts.versions(root):
        return False
    try:
        artefacts.read(root / name, kind)
    except InputFault as error:
        say(f"{root / name} is made again: {error}")
        return False
    return True

"""What all lists of a day share: the model that has caught up, and the terms of the items.

It is kept, so that a day that is made again does not learn again. `nightly.reruns` says what a
changed log does to it. `whole`: another log, another basis; the same inputs give the same lists,
always. `changed`: the day keeps the basis of its first run, and events that come in late change
only the lists of those who caused them. Called by the night.
"""

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines import catch_up, stand_ins
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.trained import Model
from recsys import artefacts
from recsys.data import buckets, erasure
from recsys.errors import InputFault
from recsys.models import saved
from recsys.progress import say
from recsys.serving import moment
from recsys.serving.reranking import ItemTerms
from recsys.settings import fingerprint

KIND, ROOT, TERMS = "basis", "bases", "terms.parquet"


@dataclass(frozen=True)
class Basis:
    """Which basis a night stands on; it may still have to be made.

    Attributes:
        folder: where it lies.
        log: content hash of the log that it knows.
        at_seconds: the night's moment.
        after: the basis of an earlier day that it goes on from; None for the trained model.
    """

    folder: Path
    log: str
    at_seconds: int
    after: Path | None

    def __str__(self) -> str:
        return f"{self.folder.name} of log {self.log}"


def of_day(settings: Settings, found: Inputs, model: Model, day: str, at_seconds: int) -> Basis:
    """The basis of a day; everything that fixes it is in its name.

    Args:
        settings: all of them.
        found: catalogue and log.
        model: as trained.
        day: YYYY-MM-DD.
        at_seconds: its moment.
    """
    root = settings.root / ROOT
    log = artefacts.read(found.interactions, buckets.KIND, check=False)["content"]
    items = artefacts.read(found.catalogue, "catalogue", check=False)["files"]["items.parquet"]
    line = _line(settings, model)
    after = _before(root, line, day) if settings.nightly.warm_start else None
    parts = [line, day, at_seconds, items["sha256"], stand_ins.content(settings)]
    parts += [after.name] if after else []
    parts += [log] if settings.nightly.reruns == "whole" else []
    name = f"{day}-{hashlib.sha256(' '.join(map(str, parts)).encode()).hexdigest()[:16]}"
    kept = _facts(root / name)
    return Basis(root / name, kept.get("log", log), at_seconds, after)


def kept(basis: Basis) -> bool:
    """Whether it is there, and whole."""
    return bool(_facts(basis.folder))


def load(settings: Settings, found: Inputs, model: Model, basis: Basis) -> tuple[Model, ItemTerms]:
    """The caught-up model and the terms of the items; made now where they are not there.

    Raises:
        InputFault: loss or gradient are not finite.
    """
    if not _facts(basis.folder):
        _make(settings, found, model, basis)
    read = saved.read(basis.folder)
    terms = pl.read_parquet(basis.folder / TERMS).drop("item_id")
    learned = moment.learned_weights(read.model)
    values = terms.to_numpy().astype(np.float64).reshape(len(found.vocabulary), len(terms.columns))
    return (
        replace(model, towers=read.model, trained=read.item_ids.ids),
        ItemTerms(read.model.trends.names, np.ascontiguousarray(values), learned),
    )


def prune(settings: Settings) -> None:
    """Removes the oldest beyond `nightly.keep`."""
    root = settings.root / ROOT
    for name in artefacts.versions(root)[: -settings.nightly.keep]:
        shutil.rmtree(root / name)


def _make(settings: Settings, found: Inputs, model: Model, basis: Basis) -> None:
    start = model
    if basis.after is not None:
        read, facts = saved.read(basis.after), _facts(basis.after)
        course = model.course | {"validation_seconds": facts["at_seconds"]}
        start = replace(model, towers=read.model, trained=read.item_ids.ids, course=course)
    made = catch_up.caught_up(settings, found, start, basis.at_seconds)
    past = found.before(basis.at_seconds)
    shop = found.shop(past, basis.at_seconds, today=True)
    terms = moment.item_terms(made.towers, shop, basis.at_seconds)
    frame = pl.DataFrame(terms.values, schema=list(terms.names), orient="row")
    parents = {"model": f"{model.folder.name} {model.content}"}
    parents |= {"after": basis.after.name} if basis.after else {}
    with artefacts.publishing(
        basis.folder.parent, basis.folder.name, KIND, parents=parents, current=False
    ) as staged:
        saved.write(made.towers, staged.folder, made.trained)
        ids = pl.Series("item_id", found.vocabulary.ids, dtype=pl.String)
        frame.insert_column(0, ids).write_parquet(staged.folder / TERMS, compression="zstd")
        staged.facts |= {
            "log": basis.log,
            "line": _line(settings, model),
            "date": basis.folder.name[:10],
            "events": len(past.items),
            "at_seconds": basis.at_seconds,
        }


def _line(settings: Settings, model: Model) -> str:
    """What the bases of all days of one trained model have in common."""
    erased = erasure.read(settings.root).digest
    told = f"{fingerprint(settings.train)} {fingerprint(settings.features)}"
    told += f" {settings.nightly.warm_start} {settings.event_names}"
    return hashlib.sha256(f"{model.content} {told} {erased}".encode()).hexdigest()[:16]


def _before(root: Path, line: str, day: str) -> Path | None:
    """The basis of the last earlier day of the same model; of several the one that knew most."""
    found = []
    for name in artefacts.versions(root):
        facts = _facts(root / name, check=False)
        if facts.get("line") == line and facts["date"] < day:
            found.append((facts["date"], facts["events"], name))
    names = (name for _, _, name in sorted(found, reverse=True))
    return next((root / name for name in names if _facts(root / name)), None)


def _facts(folder: Path, check: bool = True) -> dict[str, Any]:
    """The manifest of a basis that is whole, as far as it is checked; else empty."""
    if not (folder / artefacts.MANIFEST).is_file():
        return {}
    try:
        return artefacts.read(folder, KIND, check=check)
    except InputFault as fault:
        say(f"{folder} is made again: {fault.what}")
        return {}

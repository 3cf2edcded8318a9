"""A trained model as the stages use it: read from its folder, checked."""

import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import sources
from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import InputFault, MismatchFault
from recsys.models import saved
from recsys.models.two_tower import TwoTower
from recsys.progress import say
from recsys.serving import release, reranking
from recsys.serving.reranking import Reranker
from recsys.settings import flat

KIND, ROOT = "model", "models"
COURSE = "training.json"


@dataclass(frozen=True)
class Model:
    """A model folder, read and checked."""

    folder: Path
    content: str
    towers: TwoTower
    trained: tuple[str, ...]
    reranker: Reranker
    attributes: dict[str, Any]
    course: dict[str, Any]
    parents: Mapping[str, str]


def load(settings: Settings) -> Model:
    """The live model; settings that it was not trained with are named, once.

    Raises:
        InputFault: there is none, or it is damaged.
        MismatchFault: it reads the vectors of other encoders.
    """
    folder, _ = artefacts.current(settings.root / ROOT, KIND, check=False)
    model = read(folder)
    _require_encoders(settings, model)
    now = dict(flat(settings.model_dump(include={"model"})))
    then = dict(flat({"model": model.towers.settings.model_dump()}))
    changed = [f"{key} = {then[key]}, now {now[key]}" for key in now if then[key] != now[key]]
    if changed:
        _warn(
            f"warning: the live model was trained with other settings ({'; '.join(changed)}): "
            "they count from the next training on"
        )
    return model


def _require_encoders(settings: Settings, model: Model) -> None:
    """Refuses encoders that a model was not trained with: of the same width, they would be read."""
    then: dict[str, str] = model.course.get("encoders", {})  # which older models do not tell
    now = sources.fingerprints(settings) if then else {}
    other = [name for name in then if now.get(name, then[name]) != then[name]]
    if other:
        raise MismatchFault(
            "the live model learned from the vectors of other encoders or limits",
            value="; ".join(f"{name}: {then[name]}, now {now[name]}" for name in other),
            where=str(model.folder),
            fix="`recsys train` with these encoders, or set features.* as they were",
        )


@functools.cache
def _warn(text: str) -> None:
    say(text)


def read(folder: Path) -> Model:
    """A model, live or not.

    Raises:
        InputFault: it is damaged.
    """
    manifest = artefacts.read(folder, KIND)
    weights = saved.read(folder)
    return Model(
        folder,
        manifest["content"],
        weights.model,
        weights.item_ids.ids,
        reranking.read(folder),
        read_json(folder / "attributes.json"),
        read_json(folder / COURSE),
        manifest["parents"],
    )


def course(folder: Path) -> dict[str, Any]:
    """How a training went, from a folder that need not be whole; empty where that is not told."""
    try:
        return read_json(folder / COURSE)
    except InputFault:
        return {}


def prune(settings: Settings) -> None:
    """Removes the oldest models beyond `champion.keep`, never the live one or a release's.

    Where a release does not tell what it was made from, all are kept.
    """
    root, releases = settings.root / ROOT, settings.root / "releases"
    names = artefacts.versions(root)
    names.sort(key=lambda name: (root / name / artefacts.MANIFEST).stat().st_mtime_ns)
    try:
        made_from = [
            artefacts.read(releases / name, release.KIND, check=False)["parents"].get("model", "")
            for name in artefacts.versions(releases)
        ]
        live = artefacts.current(root, KIND, check=False)[0].name
    except InputFault as fault:
        say(f"warning: no model is removed: {fault.what}")
        return
    wanted = {live, *(parent.partition(" ")[0] for parent in made_from)}
    for name in names[: -settings.champion.keep]:
        if name not in wanted:
            shutil.rmtree(root / name)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model's folder.

    Raises:
        InputFault: it is missing or damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFault(
            f"the model folder is incomplete: {error}", where=str(path.parent), fix="make it again"
        ) from None
    return found

"""The approximate index of a night, kept: who makes or looks into that night again opens it.

Its name is a hash over vectors, users asked and settings: nothing else decides it. Where exact
search was chosen, only that is kept. Called by the night.
"""

import functools
import shutil
from pathlib import Path

from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import InputFault, MismatchFault
from recsys.progress import say
from recsys.serving import index_files
from recsys.serving.index_settings import IndexSettings
from recsys.serving.index_tuning import Choice
from recsys.serving.indexing import Keeper, Make

KIND, ROOT = "index", "indexes"


def keeper(settings: Settings, day: str, publish: bool) -> Keeper:
    """Opens the day's index, or makes it.

    Args:
        settings: all of them.
        day: YYYY-MM-DD.
        publish: whether one that is made is kept: only with the lock of the work folder.
    """
    return functools.partial(_kept, settings.root / ROOT, day, publish)


def prune(settings: Settings) -> None:
    """Removes the oldest beyond `nightly.keep`."""
    root = settings.root / ROOT
    for name in artefacts.versions(root)[: -settings.nightly.keep]:
        shutil.rmtree(root / name)


def clear(settings: Settings) -> None:
    """Removes all: they are made again from what is left."""
    shutil.rmtree(settings.root / ROOT, ignore_errors=True)


def _kept(
    root: Path, day: str, publish: bool, key: str, checksum: str, wanted: IndexSettings, make: Make
) -> Choice:
    folder = root / f"{day}-{key}"
    choice = _opened(folder, key, checksum, wanted, make)
    if choice is not None:
        return choice
    choice = make(wanted)
    if not publish:
        return choice
    with artefacts.publishing(root, folder.name, KIND, current=False) as staged:
        if choice.index.settings.kind != "exact":  # that is a copy of the vectors
            index_files.write(choice.index, staged.folder, key)
        staged.facts |= {
            "chosen": choice.index.settings.kind,
            "recall": choice.recall,
            "reached": choice.reached,
            "cost": choice.cost,
        }
    return choice


def _opened(
    folder: Path, key: str, checksum: str, wanted: IndexSettings, make: Make
) -> Choice | None:
    """The choice in a folder that is whole; else None."""
    if not (folder / artefacts.MANIFEST).is_file():
        return None
    try:
        facts = artefacts.read(folder, KIND)
        if facts["chosen"] == "exact":
            return make(wanted.model_copy(update={"kind": "exact"}))
        index = index_files.read(folder, checksum, key, mapped=True)
    except (InputFault, MismatchFault) as fault:
        say(f"{folder} is made again: {fault.what}")
        return None
    return Choice(index, facts["recall"], facts["reached"], facts["cost"])

"""`recsys export`: the live lists for what serves them, the user tower for what has no torch."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pipelines import train
from pipelines.settings import Settings
from recsys import artefacts, durable, remote
from recsys.errors import UsageFault
from recsys.models import user_onnx
from recsys.serving import release
from recsys.serving.exports import files, postgres, redis_store

Target = Literal["csv", "jsonl", "redis", "postgres", "onnx"]
SECONDS_PER_HOUR = 3600
TWICE = 2  # lists in Redis outlive their validity: late is better than none


def run(
    settings: Settings, target: Target, where: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Exports the live release, or the live model.

    Args:
        settings: of the work folder.
        target: csv and jsonl write the lists to the file `where`; redis and postgres load them into
            the server `where`; onnx writes the user tower.
        where: a path or address, of a store for those that write files; empty for the
            environment's REDIS_URL, or libpq's variables.
        environment: of the process.

    Raises:
        UsageFault: no path where one is needed, or an extra that is not installed.
        InputFault: there is no release, model or bucket, or it is damaged.
        ResourceFault: disk, server or store refuses; what was there before stays.
    """
    if target in {"csv", "jsonl", "onnx"}:
        _require_file(target, where)
    if target == "onnx":
        return _user_tower(settings, where)
    folder, manifest = artefacts.current(settings.root / "releases", release.KIND)
    lists = release.read_lists(folder)
    if target in {"csv", "jsonl"}:
        with _file(settings, where) as path:
            files.write(lists, path, "csv" if target == "csv" else "jsonl")
        return _told(folder, f"{len(lists):,} rows to {where}")
    popular, name = release.read_popular(folder), settings.export.name
    if target == "redis":
        url = where or environment.get("REDIS_URL", "redis://localhost:6379/0")
        keep = int(TWICE * manifest["valid_hours"] * SECONDS_PER_HOUR)
        users = redis_store.load(url, name, folder.name, lists, popular, keep)
        return _told(folder, f"{users:,} users to Redis, {name}:current points at them")
    rows = postgres.load(where, name, folder.name, lists, popular)
    return _told(folder, f"{rows:,} rows to PostgreSQL, the view {name}.lists shows them")


def _require_file(target: Target, where: str) -> None:
    """Refuses what names no file and no object."""
    address = remote.is_address(where)
    if not where:
        raise UsageFault(
            "there is no file to write", where="export", fix=f"export {target} --to FILE"
        )
    try:
        folder = remote.checked(where) != where if address else Path(where).is_dir()
    except ValueError as error:
        raise UsageFault(str(error), where="--to", fix="as s3://BUCKET/lists.jsonl") from None
    if folder:
        raise UsageFault(
            "this is a folder, not a file", value=where, where="--to",
            fix=f"name a file in it: {where.rstrip('/')}/lists.{target}",
        )  # fmt: skip


@contextlib.contextmanager
def _file(settings: Settings, where: str) -> Iterator[Path]:
    """Where to write: the file that was named; or one aside, of which an object is made at last."""
    if not remote.is_address(where):
        yield Path(where)
        return
    store = remote.Store(where)
    with tempfile.TemporaryDirectory(dir=settings.root, prefix=durable.TEMPORARY) as aside:
        path = Path(aside) / Path(where).name
        yield path
        store.put(path)


def _told(folder: Path, what: str) -> dict[str, Any]:
    return {"text": f"{folder.name}: {what}", "release": folder.name, "what": what}


def _user_tower(settings: Settings, where: str) -> dict[str, Any]:
    model = train.load(settings)
    try:
        with _file(settings, where) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            user_onnx.export(model.towers, path)
    except ImportError as error:
        raise UsageFault(
            f"this export needs {error.name}", where="export onnx",
            fix="pip install 'recsys[onnx]'",
        ) from None  # fmt: skip
    return {"text": f"{model.folder.name}: user tower to {where}", "model": model.folder.name}

"""One artefact without an erased id: published anew under its name, with a new manifest.

The old folder and the new one change places in one step, so that a kill at any moment leaves one of
them, whole. Files without the id are the same files. Called by erase.
"""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.erase_files import places, without, write_without
from pipelines.erase_texts import MARK, Target, scrubbed
from recsys import artefacts
from recsys.artefacts import Staged
from recsys.data import buckets, catalogue
from recsys.models import saved
from recsys.serving import release

MADE_BY_PUBLISHING = {"format", "kind", "name", "content", "parents", "files", artefacts.SEAL}
REPORT = "report.html"
EXAMPLES = re.compile(r'<section id="examples">.*?</section>', re.DOTALL)
LINK = '<a href="#examples">Example lists</a>'
INSTEAD = "<section><p>The example lists were taken out when something was erased.</p></section>"


def kind_of(folder: Path) -> str:
    """What an artefact is, by its manifest; empty where that cannot be read."""
    try:
        manifest = json.loads((folder / artefacts.MANIFEST).read_text(encoding="utf-8"))
        return str(manifest["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def rewrite(folder: Path, target: Target) -> None:
    """Publishes the version in `folder` again without the id.

    Raises:
        InputFault: the version is damaged; it stays as it is.
        ResourceFault: the disk is full or not writable; the version stays as it is.
    """
    kind = kind_of(folder)
    manifest = artefacts.read(folder, kind)
    old = manifest["files"]
    facts = {key: value for key, value in manifest.items() if key not in MADE_BY_PUBLISHING}
    with artefacts.publishing(
        folder.parent, folder.name, kind, parents=manifest["parents"], current=False
    ) as staged:
        staged.facts |= scrubbed(facts, target)[0]
        staged.rows |= {name: entry["rows"] for name, entry in old.items() if "rows" in entry}
        match kind:
            case release.KIND:
                done = _release(folder, staged, old, target)
            case "model" | "basis":
                done = _model(folder, staged, target)
            case _:
                done = set()
        for name in sorted(set(old) - done):
            _file(folder / name, staged, name, target)
        if kind == buckets.KIND:
            _account(folder, staged, old, target)
        if kind == catalogue.KIND:
            _count(staged)


def cut_examples(page: str) -> str:
    """A night's report without its example lists, which show a few users' lists as numbers."""
    return EXAMPLES.sub(INSTEAD, page).replace(LINK, "")


def _file(source: Path, staged: Staged, name: str, target: Target) -> None:
    """A file without the id; where it does not hold it, the file itself."""
    destination = staged.folder / name
    destination.parent.mkdir(parents=True, exist_ok=True)
    if not places(source, target):
        _link(source, destination)
        return
    write_without(source, destination, target)
    if name in staged.rows:
        table = pl.scan_parquet(destination, hive_partitioning=False)
        staged.rows[name] = table.select(pl.len()).collect().item()


def _link(source: Path, destination: Path) -> None:
    try:
        os.link(source, destination)
    except OSError:  # a file system without links
        shutil.copyfile(source, destination)


def _release(folder: Path, staged: Staged, old: dict[str, Any], target: Target) -> set[str]:
    """Lists, similar items and popular lists, their ranks closed up; a report without examples."""
    done = set()
    lists = _table(folder, old, "lists")
    for name, owner in (("lists", "user_id"), ("similar", "item_id")):
        table = _table(folder, old, name)
        if not table.is_empty():
            parts = {file for file in old if Path(file).parent == Path(name)}
            for part in parts:
                staged.rows.pop(part)
            kept = _closed(table, owner, target)
            staged.rows |= release.write_parts([kept], staged.folder / name)
            lists = kept if name == "lists" else lists
            done |= parts
    if (popular := "popular.parquet") in old:
        kept = _closed(pl.read_parquet(folder / popular), "category", target)
        kept.write_parquet(staged.folder / popular, **release.PARQUET)
        staged.rows[popular] = kept.height
        done.add(popular)
    if REPORT in old:
        page = cut_examples((folder / REPORT).read_text(encoding="utf-8"))
        (staged.folder / REPORT).write_text(target.sure.sub(MARK, page), encoding="utf-8")
        done.add(REPORT)
    _count_lists(staged.facts.get("counts", {}), lists)
    return done


def _table(folder: Path, old: dict[str, Any], name: str) -> pl.DataFrame:
    """A table of a release as it stands in its files, ids as they are outside."""
    paths = [folder / file for file in sorted(old) if Path(file).parent == Path(name)]
    if not paths:
        return pl.DataFrame()
    return pl.read_parquet(paths, hive_partitioning=False, glob=False)


def _closed(table: pl.DataFrame, owner: str, target: Target) -> pl.DataFrame:
    """The table without the id; ranks follow on each other again where one fell out."""
    kept = without(table, target)
    rank = pl.col("rank").rank("ordinal").over(owner).cast(table.schema["rank"])
    return kept.with_columns(rank=rank)


def _count_lists(counts: dict[str, Any], lists: pl.DataFrame) -> None:
    """Brings the counts up to date that rest on the lists alone."""
    if lists.is_empty():
        return
    popular = lists.filter(pl.col("source") == release.POPULAR)
    now = {
        "users": lists["user_id"].n_unique(),
        "users_popular": popular["user_id"].n_unique(),
        "rows": lists.height,
        "items_listed": lists["item_id"].n_unique(),
    }
    counts.update({name: value for name, value in now.items() if name in counts})


def _model(folder: Path, staged: Staged, target: Target) -> set[str]:
    """The model without the item's id and its row of the id table; users have no weights."""
    found = saved.read(folder)
    ids, model = found.item_ids, found.model
    if target.kind == "user" or target.identifier not in ids:
        return set()
    left = [row for row, item in enumerate(ids.ids) if item != target.identifier]
    saved.write(model.kept(left), staged.folder, ids.names(left))
    return {saved.WEIGHTS, saved.DESCRIPTION, saved.ITEM_IDS}


def _account(folder: Path, staged: Staged, old: dict[str, Any], target: Target) -> None:
    """Moves the rows that fell out to the filtered ones: the account still adds up, file by file.

    Ingest numbers the rows of all files through, in the order of the files, with a gap of one
    after each; so a row's sequence tells its file.
    """
    accounting: dict[str, dict[str, int]] = staged.facts["accounting"]
    files = sorted(accounting, key=Path)
    ends = np.cumsum([accounting[file]["read"] + accounting[file]["blank"] + 1 for file in files])
    kept: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name in old:
        if not places(folder / name, target):
            continue
        gone = _gone(folder / name, target)
        if name == buckets.QUARANTINE:
            refused.update(gone["file"].to_list())
        else:
            rows = np.searchsorted(ends, gone["sequence"].to_numpy(), side="left")
            kept.update(files[row] for row in rows)
    for file, account in accounting.items():
        account["kept"] -= kept[file]
        account["quarantined"] -= refused[file]
        account["filtered"] += kept[file] + refused[file]
    filtered = staged.facts["filtered"]
    filtered["erased"] = filtered.get("erased", 0) + kept.total() + refused.total()


def _gone(path: Path, target: Target) -> pl.DataFrame:
    frame = pl.read_parquet(path, hive_partitioning=False).with_row_index("place")
    return frame.join(without(frame, target).select("place"), on="place", how="anti")


def _count(staged: Staged) -> None:
    """Brings the sizes of a catalogue up to date."""
    items = pl.read_parquet(staged.folder / "items.parquet", hive_partitioning=False)
    path = staged.folder / "users.parquet"
    people = pl.read_parquet(path, hive_partitioning=False) if path.is_file() else None
    staged.facts["counts"] |= catalogue.sizes(items, people)

"""Is a release whole, and are its lists by the rules? Called by verify, rollback and the night."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from recsys import artefacts
from recsys.errors import InputFault
from recsys.progress import say
from recsys.serving import release, stored_lists
from recsys.serving.stored_lists import StoredLists

PREVIOUS = "previous"
CHECKS = {
    "an item stands twice": pl.struct("user_id", "item_id").is_duplicated(),
    "ranks have gaps": pl.col("rank") != pl.int_range(1, pl.len() + 1).over("user_id"),
    "a score rises": pl.col("score").diff().over("user_id").fill_null(0.0) > 0,
    "a score is not finite": ~pl.col("score").is_finite(),
}


def problems(lists: StoredLists, examples: int = 20) -> list[str]:
    """What is wrong with lists as rows: items twice, gaps in ranks, scores that rise, no number."""
    wrong_users = {what: [pl.Series(dtype=pl.String)] for what in CHECKS}
    for part in lists.each(["user_id", "rank", "item_id", "score"]):
        ordered = part.sort("user_id", "rank")
        for what, wrong in CHECKS.items():
            wrong_users[what].append(ordered.filter(wrong)["user_id"].unique(maintain_order=True))
    found = []
    for what, series in wrong_users.items():
        users = pl.concat(series)
        if len(users):
            shown = ", ".join(str(value) for value in users.head(examples))
            found.append(f"{what} in the lists of {len(users):,} users: {shown}")
    return found


def verify(root: Path, name: str = "") -> dict[str, Any]:
    """Checks a release: every byte against its manifest, every list against the rules.

    Args:
        root: folder of the releases.
        name: of one; empty for the live one.

    Raises:
        InputFault: damaged, incomplete, or lists that break the rules.
    """
    if name:
        folder, manifest = root / name, artefacts.read(root / name, release.KIND)
    else:
        folder, manifest = artefacts.current(root, release.KIND)
    lists = stored_lists.opened(folder)
    wrong = problems(lists) + misshapen(folder, lists, manifest)
    if wrong:
        raise InputFault("; ".join(wrong), where=str(folder), fix="roll back to another release")
    return {
        "release": folder.name,
        "content": manifest["content"],
        "files": len(manifest["files"]),
        "users": len(lists),
        "rows": lists.rows,
        "stray": sorted(stray(folder, manifest)),
    }


def misshapen(folder: Path, lists: StoredLists, manifest: Mapping[str, Any]) -> list[str]:
    """Where lists are not of the length, or ids not of the type, that the manifest promises."""
    found = []
    k = manifest.get("settings", {}).get("nightly", {}).get("k")
    longest = lists.sizes.max(initial=0)
    if k is not None and longest > k:
        found.append(f"lists of {longest} places instead of {k}")
    for part in release.parts(folder, "lists"):
        schema = pl.read_parquet(part, n_rows=0, glob=False, hive_partitioning=False).schema
        for name, whole in manifest.get("integer_ids", {}).items():
            kind, wanted = schema.get(name), pl.Int64() if whole else pl.String()
            if kind is not None and kind != wanted:
                found.append(f"{part.name}: {name} is {kind} instead of {wanted}")
    return found


def stray(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Files that the manifest does not know; readers ignore them."""
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and name != artefacts.MANIFEST and name not in manifest["files"]:
            yield name


def rollback(root: Path, to: str) -> dict[str, Any]:
    """Makes a verified older release the live one.

    Args:
        root: folder of the releases.
        to: name of one; `previous` for the last one named before the live one that is whole. Where
            the pointer is damaged, of all.

    Raises:
        InputFault: no such release, or it is damaged; the live one stays.
    """
    known = artefacts.versions(root)
    if to == PREVIOUS:
        to = _previous(root, known)
    if to not in known:
        raise InputFault(
            "no such release", value=to, where=str(root),
            fix=f"one of: {', '.join(known[-10:]) or '(none)'}",
        )  # fmt: skip
    checked = verify(root, to)
    artefacts.point(root, to)
    return checked


def _previous(root: Path, known: list[str]) -> str:
    """The newest whole release before the live one; of all where the pointer names none."""
    try:
        live = artefacts.current(root, release.KIND, check=False)[0].name
    except InputFault as fault:
        say(f"warning: {fault.what}")
        live = ""
    for name in reversed(known):
        if live and name >= live:
            continue
        try:
            verify(root, name)
        except InputFault as fault:
            say(f"warning: {name} is passed over: {fault.what}")
            continue
        return name
    return PREVIOUS

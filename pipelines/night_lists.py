"""The lists of a night: of everybody, or only of those of whom something has changed.

A list is a function of the day's basis, of the settings of lists, and of its user's own events; it
does not depend on who else is listed. So where a release of the same day stands on the same basis,
it holds the lists of all users whose events are the same, and similar items as they are. Called by
the night.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pipelines.night import Night
from pipelines.settings import Settings
from recsys import __version__, artefacts
from recsys.artefacts import Staged
from recsys.data import buckets, histories
from recsys.data.histories import Histories
from recsys.engine import map_buckets
from recsys.errors import InputFault
from recsys.serving import fallback, release, similar, stored_lists
from recsys.settings import fingerprint

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
OfBlock = Callable[[Rows], pl.DataFrame]  # lists of the users at places among all
FEW_USERS = 1000
USERS = 8192  # whose candidates are held at a time
LIBRARIES = ("torch", "faiss-cpu", "numpy")  # they decide how a sum is rounded


@dataclass(frozen=True)
class Earlier:
    """A release of the same day on the same basis, and the log that it knew."""

    release: Path
    log: Path


def key(settings: Settings, night: Night) -> str:
    """Identifies all that lists depend on besides their users' events (16 hex digits)."""
    nightly, index = settings.nightly, night.recommender.index.settings
    parts = [str(night.plan.basis), fingerprint(settings.lists), fingerprint(index), nightly.k]
    parts += [night.found.integer_ids]  # the order of the lists
    parts += [nightly.similar, nightly.blocked, settings.event_names]
    if night.recommender.people is not None:
        shop = artefacts.read(night.found.catalogue, "catalogue", check=False)
        parts.append(shop["files"].get("users.parquet", {}).get("sha256"))
    parts += [__version__, torch.get_num_threads()]
    parts += [metadata.version(name) for name in LIBRARIES]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def earlier(settings: Settings, day: str, wanted: str) -> Earlier | None:
    """The newest whole release of a day with that key whose log is still there; else None."""
    root = settings.root / "releases"
    for name in reversed(artefacts.versions(root)):
        if not name.startswith(day):
            continue
        try:
            manifest = artefacts.read(root / name, release.KIND, check=False)
            if manifest.get("lists_key") == wanted:
                artefacts.read(root / name, release.KIND)
                log = settings.root / "interactions" / manifest["parents"]["interactions"]
                artefacts.read(log, buckets.KIND)
                return Earlier(root / name, log)
        except InputFault:
            continue
    return None


def write(
    settings: Settings, night: Night, before: Earlier | None, staged: Staged
) -> dict[str, int]:
    """Writes the lists of all users, block by block in their published order, and similar items.

    Args:
        settings: of the lists.
        night: what they are made from.
        before: whose lists may be kept; None makes all.
        staged: the release being written.

    Returns:
        How many users have a model list that was made now, and how many one that was kept.
    """
    counts: Counter[str] = Counter(made=0, kept=0)
    integer_ids = night.found.integer_ids
    release.write_lists(staged, _lists(settings, night, before, counts), integer_ids)
    if before is None:
        ids = pl.Series(night.found.vocabulary.ids, dtype=pl.String)
        order = release.order(ids, integer_ids["item_id"])
        k, engine = settings.nightly.similar, settings.engine.here()
        near = similar.frames(night.recommender, ids, order, k, engine)
    else:
        near = release.each_similar(before.release)
    release.write_similar(staged, near, integer_ids)
    return dict(counts)


def _lists(
    settings: Settings, night: Night, before: Earlier | None, counts: Counter[str]
) -> Iterator[pl.DataFrame]:
    """Lists of users who follow each other, counting whose are `made` and whose `kept`."""
    everyone = night.people.gather(release.order(night.people, night.found.integer_ids["user_id"]))
    mine = histories.places(everyone, pl.Series(night.past.user_ids, dtype=pl.String))
    anew = mine >= 0
    others = [_popular(settings, night, everyone, mine < 0)]
    if before is not None:
        changed = _changed(night, settings.data.buckets, before.log)
        anew &= everyone.is_in(list(changed)).to_numpy()
        others.append(_kept(before.release, everyone, (mine >= 0) & ~anew))
    few = len(everyone) <= FEW_USERS
    count = 1 if few else max(settings.data.buckets, math.ceil(len(everyone) / USERS))
    blocks = np.array_split(np.arange(len(everyone)), count)
    made = _made(settings, night, [mine[block][anew[block]] for block in blocks])
    for block, fresh in zip(blocks, made, strict=True):
        rest = pl.concat([of_block(block).select(fresh.columns) for of_block in others])
        counts["made"] += fresh["user_id"].n_unique()
        counts["kept"] += rest.filter(source=release.MODEL)["user_id"].n_unique()
        yield fresh if rest.is_empty() else pl.concat([fresh, rest]).sort("user_id", "rank")


def _made(settings: Settings, night: Night, blocks: list[Rows]) -> Iterator[pl.DataFrame]:
    """Lists of the night's users at some places, block by block, sorted by user and rank.

    Few users are one task: blocks of the towers are filled up anyway.
    """
    # the whole log stays here: a task may run on another machine
    recommender, ids, k = night.recommender, night.found.vocabulary.ids, settings.nightly.k

    def of_task(past: Histories) -> pl.DataFrame:
        ranked = recommender.lists(past, k)
        known = np.diff(past.offsets) > 0
        ranked = replace(ranked, rows=np.where(known[:, None], ranked.rows, -1))
        return release.list_frame(past.user_ids, ranked, recommender.names, ids)

    together = np.concatenate(blocks)
    if len(together) > FEW_USERS:
        tasks = (histories.of(night.past, block) for block in blocks)
        yield from map_buckets(of_task, tasks, settings.engine)
        return
    [few] = map_buckets(of_task, [histories.of(night.past, together)], settings.engine)
    for block in blocks:
        users = pl.Series([night.past.user_ids[place] for place in block], dtype=pl.String)
        yield few.filter(pl.col("user_id").is_in(users.implode()))


def _popular(settings: Settings, night: Night, everyone: pl.Series, cold: Mask) -> OfBlock:
    """Popular lists of users without events: always made anew, for they follow everybody's."""
    recommender, ids = night.recommender, night.found.vocabulary.ids
    newcomers = everyone.filter(cold).to_list()
    ranked, group = fallback.by_segments(recommender, newcomers, settings.nightly.k)
    groups = np.full(len(everyone), -1)
    groups[cold] = group

    def of_block(block: Rows) -> pl.DataFrame:
        chosen = block[cold[block]]
        lists = fallback.dealt(ranked, groups[chosen])
        return release.popular_frame(everyone[chosen].to_list(), lists, recommender.names, ids)

    return of_block


def _kept(folder: Path, everyone: pl.Series, same: Mask) -> OfBlock:
    """The model's lists of users in an earlier release."""
    lists = stored_lists.opened(folder)
    found = lists.places(everyone)
    model = np.append(lists.model.to_numpy(), False)  # the last one for -1
    found = np.where(same & model[found], found, -1)
    return lambda block: lists.at(found[block])


def _changed(night: Night, count: int, log: Path) -> set[str]:
    """Users whose events before the night's moment are not those that the older log has."""
    folders = log, night.found.interactions
    manifests = [artefacts.read(folder, buckets.KIND, check=False) for folder in folders]
    if any(manifest["buckets"] != count for manifest in manifests):
        return set(night.past.user_ids)
    earlier = pl.col("timestamp").dt.epoch("us") < night.plan.at_seconds * 1_000_000
    users = set[str]()
    for bucket in range(count):
        part = buckets.part(bucket)
        if len({manifest["files"][part]["sha256"] for manifest in manifests}) > 1:
            both = (buckets.read_bucket(folder, bucket).filter(earlier) for folder in folders)
            users.update(_differing(*both))
    return users


def _differing(one: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    """Users who have not the same events in the same order in both."""
    both = [
        frame.drop("sequence").with_columns(place=pl.int_range(pl.len()).over("user_id"))
        for frame in (one, other)
    ]
    if both[0].columns != both[1].columns:
        return pl.concat([one["user_id"], other["user_id"]])
    left, right = both
    sides = ((left, right), (right, left))
    alone = [a.join(b, on=a.columns, how="anti", nulls_equal=True)["user_id"] for a, b in sides]
    return pl.concat(alone)

"""The lists of a night: of everybody, or only of those of whom something has changed.

A list is a function of the day's basis, of the settings of lists, and of its user's own events; it
does not depend on who else is listed. So where a release of the same day stands on the same basis,
it holds the lists of all users whose events are the same, and similar items as they are. Called by
the night.
"""

import hashlib
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
from recsys.data import buckets
from recsys.data import histories as histories_module
from recsys.data.histories import Histories
from recsys.engine import map_buckets
from recsys.errors import InputFault
from recsys.serving import fallback, release, similar
from recsys.settings import fingerprint

Rows = npt.NDArray[np.int64]
FEW_USERS = 1000
USERS = 8192  # whose candidates are held at a time
LIBRARIES = ("torch", "faiss-cpu", "numpy")  # they decide how a sum is rounded


@dataclass(frozen=True)
class Earlier:
    """A release of the same day on the same basis, and the log that it knew."""

    release: Path
    log: Path


@dataclass(frozen=True)
class Lists:
    """What a night lists.

    Attributes:
        lists: of all users, sorted by user and rank, as `release.list_frame`.
        near: similar items, as `similar.frame`.
        made, kept: users with a model list that was made now, or taken from the earlier release.
    """

    lists: pl.DataFrame
    near: pl.DataFrame
    made: int
    kept: int


def key(settings: Settings, night: Night) -> str:
    """Identifies all that lists depend on besides their users' events (16 hex digits)."""
    nightly, index = settings.nightly, night.recommender.index.settings
    parts = [str(night.plan.basis), fingerprint(settings.lists), fingerprint(index), nightly.k]
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


def made(settings: Settings, night: Night, before: Earlier | None) -> Lists:
    """Lists of all users and similar items.

    Args:
        settings: of the lists.
        night: what they are made from.
        before: whose lists may be kept; None makes all.
    """
    ids = night.found.vocabulary.ids
    past, count = night.past, settings.data.buckets
    if before is None:
        fresh = _of_known(settings, night, _dealt(np.arange(len(past)), count))
        near = similar.frame(night.recommender, ids, settings.nightly.similar)
        kept = fresh.clear()
    else:
        changed = _changed(night, count, before.log)
        anew = np.array([user in changed for user in past.user_ids], np.bool_)
        fresh = _of_known(settings, night, _dealt(np.flatnonzero(anew), count))
        same = pl.Series(past.user_ids, dtype=pl.String).filter(~anew)
        lists = release.read_lists(before.release).select(fresh.columns)
        kept = lists.filter(
            pl.col("user_id").is_in(same.implode()) & (pl.col("source") == release.MODEL)
        )
        near = release.read_similar(before.release).sort("item_id", "rank")
    users = [frame["user_id"].n_unique() for frame in (fresh, kept)]
    others = pl.concat([kept, _of_newcomers(settings, night)])
    lists = fresh if others.is_empty() else pl.concat([fresh, others]).sort("user_id", "rank")
    return Lists(lists, near, *users)


def _dealt(users: Rows, count: int) -> list[Rows]:
    """Users of each task, neighbours by their ids, so that lists come as they are published.

    Few users are one task: blocks of the towers are filled up anyway.
    """
    return np.array_split(users, 1 if len(users) <= FEW_USERS else count)


def _of_known(settings: Settings, night: Night, dealt: list[Rows]) -> pl.DataFrame:
    """Lists of users with events, task by task, sorted by user and rank."""
    # the whole log stays here: a task may run on another machine
    recommender, vocabulary, k = night.recommender, night.found.vocabulary, settings.nightly.k

    def of_block(histories: Histories) -> pl.DataFrame:
        ranked = recommender.lists(histories, k)
        known = np.diff(histories.offsets) > 0
        rows = np.where(known[:, None], ranked.rows, -1)
        ranked = replace(ranked, rows=rows)
        return release.list_frame(histories.user_ids, ranked, recommender.names, vocabulary.ids)

    def of_task(histories: Histories) -> pl.DataFrame:
        # a user's candidates with their terms take 20 KB, a row of a list 100 bytes
        starts = range(0, max(1, len(histories)), USERS)
        blocks = (histories_module.block(histories, start, start + USERS) for start in starts)
        return pl.concat([of_block(block) for block in blocks])

    parts = [histories_module.of(night.past, users) for users in dealt]
    return pl.concat(map_buckets(of_task, parts, settings.engine))


def _of_newcomers(settings: Settings, night: Night) -> pl.DataFrame:
    """Popular lists of users without events: always made anew, for they follow everybody's."""
    names, ids = night.recommender.names, night.found.vocabulary.ids
    known = pl.Series(night.past.user_ids, dtype=pl.String)
    cold = night.people.filter(~night.people.is_in(known.implode())).to_list()
    ranked = fallback.lists(night.recommender, cold, settings.nightly.k)
    return release.popular_frame(cold, ranked, names, ids)


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

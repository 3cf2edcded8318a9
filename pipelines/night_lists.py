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
import polars as pl
import torch

from pipelines.night import Night
from pipelines.settings import Settings
from recsys import __version__, artefacts
from recsys.data import buckets, partition
from recsys.data import histories as histories_module
from recsys.engine import map_buckets
from recsys.errors import InputFault
from recsys.serving import fallback, release, similar
from recsys.settings import fingerprint

FEW_USERS = 1000
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
    frames = partition.split(night.past, settings.data.buckets)
    if before is None:
        fresh = _of_known(settings, night, frames)
        near = similar.frame(night.recommender, ids, settings.nightly.similar)
        kept = fresh.clear()
    else:
        changed = _changed(night, frames, before.log)
        some = [frame.filter(pl.col("user_id").is_in(changed.implode())) for frame in frames]
        fresh = _of_known(settings, night, _together(some))
        same = night.past["user_id"].unique()
        same = same.filter(~same.is_in(changed.implode()))
        lists = release.read_lists(before.release).select(fresh.columns)
        kept = lists.filter(
            pl.col("user_id").is_in(same.implode()) & (pl.col("source") == release.MODEL)
        )
        near = release.read_similar(before.release).sort("item_id", "rank")
    lists = pl.concat([kept, fresh, _of_newcomers(settings, night)]).sort("user_id", "rank")
    users = (frame["user_id"].n_unique() for frame in (fresh, kept))
    return Lists(lists.rechunk(), near, *users)


def _together(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Few users as one task: the towers read blocks that are filled up, however few ask."""
    few = sum(frame["user_id"].n_unique() for frame in frames) <= FEW_USERS
    return [pl.concat(frames)] if few else frames


def _of_known(settings: Settings, night: Night, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Lists of users with events, bucket by bucket."""
    # the whole log stays here: a task may run on another machine
    recommender, vocabulary, k = night.recommender, night.found.vocabulary, settings.nightly.k
    events = settings.event_names

    def of_bucket(frame: pl.DataFrame) -> pl.DataFrame:
        histories = histories_module.build(frame, vocabulary, events)
        ranked = recommender.lists(histories, k)
        known = np.diff(histories.offsets) > 0
        rows = np.where(known[:, None], ranked.rows, -1)
        ranked = replace(ranked, rows=rows)
        return release.list_frame(histories.user_ids, ranked, recommender.names, vocabulary.ids)

    return pl.concat(map_buckets(of_bucket, frames, settings.engine))


def _of_newcomers(settings: Settings, night: Night) -> pl.DataFrame:
    """Popular lists of users without events: always made anew, for they follow everybody's."""
    names, ids = night.recommender.names, night.found.vocabulary.ids
    known = night.past["user_id"].unique()
    cold = night.people.filter(~night.people.is_in(known.implode())).to_list()
    ranked = fallback.lists(night.recommender, cold, settings.nightly.k)
    return release.popular_frame(cold, ranked, names, ids)


def _changed(night: Night, frames: list[pl.DataFrame], log: Path) -> pl.Series:
    """Users whose events before the night's moment are not those that the older log has."""
    count = artefacts.read(log, buckets.KIND, check=False)["buckets"]
    if count != len(frames):
        return night.past["user_id"].unique()
    files = [
        artefacts.read(folder, buckets.KIND, check=False)["files"]
        for folder in (log, night.found.interactions)
    ]
    moment = night.plan.at_seconds * 1_000_000
    users = [pl.Series(dtype=pl.String)]
    for bucket, frame in enumerate(frames):
        if len({file[buckets.part(bucket)]["sha256"] for file in files}) > 1:
            old = buckets.read_bucket(log, bucket)
            old = old.filter(pl.col("timestamp").dt.epoch("us") < moment)
            users.append(_differing(old, frame))
    return pl.concat(users).unique()


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

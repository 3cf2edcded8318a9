"""What a night's staged lists are like, in numbers for the gates; read back from disk.

Rules that must hold of every row, and signs of a model or a join gone wrong: one list for many, one
item everywhere, too little in common with the last release or too much.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.serving import audit, release
from recsys.serving.stored_lists import StoredLists

HEAD, HEAD_ITEMS = 0.01, 10
EVEN_SHARE = 0.1
USERS = 10_000  # who are looked at together
PAIR = ["user_id", "item_id"]
Seen = Callable[[pl.Series], pl.DataFrame]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def broken_rules(
    lists: StoredLists, users: pl.Series, eligible: pl.Series, seen: Seen | None, k: int
) -> dict[str, float]:
    """Counts that must be 0 (gates G1, G2, G7, G8 and G9 of the reliability promises).

    Args:
        lists: as they are staged, read back.
        users: ids of everyone who must have a list.
        eligible: ids of the items that may be listed.
        seen: user_id, item_id of what some users have had; None where repeats are allowed.
        k: places of a list.
    """
    known = users.unique()
    expected = lists.users.is_in(known.implode()).to_numpy()
    unlisted = known.filter(~known.is_in(lists.users.implode()))
    without = short = forbidden = repeated = 0
    for start in range(0, len(unlisted), USERS):
        some = unlisted[start : start + USERS]
        without += int((_due(some, eligible, None if seen is None else seen(some), k) > 0).sum())
    for start, stop in lists.stretches():
        part, owners = lists.block(start, stop, PAIR), lists.users[start:stop]
        had = None if seen is None else seen(owners)
        lacking = lists.sizes[start:stop] < _due(owners, eligible, had, k)
        short += int((lacking & expected[start:stop]).sum())
        forbidden += int((~part["item_id"].is_in(eligible.implode())).sum())
        repeated += 0 if had is None else len(part.join(had, on=PAIR, how="semi"))
    return {
        "users_without_list": without,
        "lists_of_strangers": int((~expected).sum()),
        "short_lists": short,
        "long_lists": int((lists.sizes > k).sum()),
        "forbidden_items": forbidden,
        "items_had": repeated,
        "broken_lists": len(audit.problems(lists)),
    }


def health(lists: StoredLists, settled: pl.Series, eligible: int, fewest: int) -> dict[str, float]:
    """Signs of a collapsed model; what too few users or items could tell is left out.

    Args:
        lists: as published.
        settled: users whose history is long enough for a list of their own.
        eligible: how many items may be listed.
        fewest: users below which shares say nothing.
    """
    items, count = lists.listed, len(lists.of_model)
    measures = {
        "users": float(len(lists)),
        "coverage": items["item_id"].n_unique() / max(1, eligible),
        "popular_share": (len(lists) - count) / max(1, len(lists)),
    }
    if count >= max(1, fewest):
        times = items.filter(source=release.MODEL)["times"].sort(descending=True)
        places = lists.sizes[lists.model.to_numpy()].max()
        head = round(HEAD * eligible)
        if head >= HEAD_ITEMS:
            measures["head_share"] = float(times.head(head).sum()) / float(times.sum())
        if places / max(1, eligible) <= EVEN_SHARE:
            measures["largest_item_share"] = float(times[0]) / count
    own = (lists.model & lists.users.is_in(settled.implode())).to_numpy()
    if own.sum() >= fewest:
        measures["same_list_share"] = _same_list_share(lists, own)
    return measures


def against(
    lists: StoredLists, before: StoredLists, changed: bool, fewest: int
) -> dict[str, float]:
    """What tonight's lists have in common with the last release's.

    `overlap` is the mean Jaccard index of a user's two lists; `overlap_own_over_others` that over
    the mean of the same with the last list of somebody else: near 1 nobody's list is their own.

    Args:
        lists, before: tonight's and the last release's lists.
        changed: whether events came in between; then lists that are all the same are stuck.
        fewest: users below which shares say nothing.
    """
    users = lists.of_model
    users = users.filter(users.is_in(before.of_model.implode()))
    if len(users) < fewest:
        return {}
    new, old = lists.places(users), before.places(users)
    partners = np.roll(old, len(users) // 2)
    own, strange, same = [np.zeros(0)], [np.zeros(0)], True
    for start in range(0, len(users), USERS):
        some = slice(start, start + USERS)
        now, then = _ranked(lists, new[some]), _ranked(before, old[some])
        others = before.at(partners[some], PAIR)
        pairs = pl.DataFrame({"user_id": before.users[partners[some]], "for": users[some]})
        others = others.join(pairs, on="user_id").select("item_id", user_id="for")
        own.append(_jaccard(now, then))
        strange.append(_jaccard(now, others))
        same = same and now.equals(then)
    measures = {"overlap": math.fsum(np.concatenate(own)) / len(users)}
    if (others_share := math.fsum(np.concatenate(strange)) / len(users)) > 0:
        measures["overlap_own_over_others"] = measures["overlap"] / others_share
    if changed:
        measures["stuck_lists"] = float(same)
    return measures


def overlap(one: pl.DataFrame, other: pl.DataFrame, users: pl.Series) -> float:
    """Mean Jaccard index (Jaccard, 1912) of the two lists of each of `users`; 0 where one has none.

    Args:
        one, other: user_id, item_id of lists of these users.
        users: whose, at least one.
    """
    return math.fsum(_jaccard(one, other)) / len(users)


def _ranked(lists: StoredLists, places: Rows) -> pl.DataFrame:
    return lists.at(places, [*PAIR, "rank"]).sort("user_id", "rank")


def _jaccard(one: pl.DataFrame, other: pl.DataFrame) -> Floats:
    """The index of each user who has a list in both, in any order."""
    shared = one.join(other, on=PAIR, how="inner").group_by("user_id").len("shared")
    sizes = pl.concat([one.select("user_id"), other.select("user_id")]).group_by("user_id").len()
    both = sizes.join(shared, on="user_id")
    return (both["shared"] / (both["len"] - both["shared"])).to_numpy()


def _same_list_share(lists: StoredLists, own: npt.NDArray[np.bool_]) -> float:
    """Share of the users `own [U]` who have the most common list, order and all; 0: all differ."""
    marks = [np.zeros(0, np.uint64)]
    for start, stop in lists.stretches():
        part = lists.block(start, stop, [*PAIR, "rank"])
        part = part.filter(np.repeat(own[start:stop], lists.sizes[start:stop]))
        items = pl.col("item_id").sort_by("rank").str.join("\0")
        marks.append(part.group_by("user_id").agg(items)["item_id"].hash().to_numpy())
    counts = np.unique(np.concatenate(marks), return_counts=True)[1]
    most = counts.max(initial=0)
    return float(most / counts.sum()) if most > 1 else 0.0


def _due(users: pl.Series, eligible: pl.Series, had: pl.DataFrame | None, k: int) -> Rows:
    """How long each user's list must be: K, or all that may be listed and was not had before."""
    owed = np.full(len(users), len(eligible), np.int64)
    if had is not None:
        listable = had.filter(pl.col("item_id").is_in(eligible.implode())).unique(PAIR)
        counts = listable.group_by("user_id").len("had")
        joined = users.alias("user_id").to_frame().join(
            counts, on="user_id", how="left", maintain_order="left"
        )  # fmt: skip
        owed -= joined["had"].fill_null(0).to_numpy()
    return np.minimum(owed, k)

"""What a night's staged lists are like, in numbers for the gates; read back from disk.

Rules that must hold of every row, and signs of a model or a join gone wrong: one list for many, one
item everywhere, too little in common with the last release or too much.
"""

from collections.abc import Iterable

import polars as pl

from recsys.serving import audit, release

HEAD, HEAD_ITEMS = 0.01, 10
EVEN_SHARE = 0.1
PAIR = ["user_id", "item_id"]


def broken_rules(
    lists: pl.DataFrame,
    users: pl.Series,
    eligible: pl.Series,
    seen: Iterable[pl.DataFrame] | None,
    k: int,
) -> dict[str, float]:
    """Counts that must be 0 (gates G1, G2, G7, G8 and G9 of the reliability promises).

    Args:
        lists: as they are staged, read back.
        users: ids of everyone who must have a list.
        eligible: ids of the items that may be listed.
        seen: user_id, item_id of what users have had, in parts, each user in one of them; None
            where repeats are allowed.
        k: places of a list.
    """
    known = pl.DataFrame({"user_id": users.unique()})
    strangers = lists.select("user_id").unique().join(known, on="user_id", how="anti")
    had, counts = 0, [pl.DataFrame(schema={"user_id": pl.String, "had": pl.UInt32})]
    for part in seen or ():
        had += len(lists.join(part, on=PAIR, how="semi"))
        listable = part.filter(pl.col("item_id").is_in(eligible.implode()))
        counts.append(listable.unique(PAIR).group_by("user_id").len("had"))
    due = _due(known, len(eligible), pl.concat(counts), k)
    sizes = lists.group_by("user_id").len("size")
    owed = due.join(sizes, on="user_id", how="left").with_columns(pl.col("size").fill_null(0))
    short = pl.col("size").is_between(1, pl.col("due") - 1)
    return {
        "users_without_list": len(owed.filter((pl.col("size") == 0) & (pl.col("due") > 0))),
        "lists_of_strangers": len(strangers),
        "short_lists": len(owed.filter(short)),
        "long_lists": len(sizes.filter(pl.col("size") > k)),
        "forbidden_items": len(lists) - int(lists["item_id"].is_in(eligible.implode()).sum()),
        "items_had": had,
        "broken_lists": len(audit.problems(lists)),
    }


def health(lists: pl.DataFrame, settled: pl.Series, eligible: int, fewest: int) -> dict[str, float]:
    """Signs of a collapsed model; what too few users or items could tell is left out.

    Args:
        lists: as published.
        settled: users whose history is long enough for a list of their own.
        eligible: how many items may be listed.
        fewest: users below which shares say nothing.
    """
    users = lists["user_id"].n_unique()
    popular = lists.filter(pl.col("source") == release.POPULAR)["user_id"].n_unique()
    measures = {
        "users": float(users),
        "coverage": lists["item_id"].n_unique() / max(1, eligible),
        "popular_share": popular / max(1, users),
    }
    model = lists.filter(pl.col("source") == release.MODEL)
    count, places = model["user_id"].n_unique(), model["rank"].max()
    if count >= fewest and isinstance(places, int):
        times = model.group_by("item_id").len("times")["times"].sort(descending=True)
        head = round(HEAD * eligible)
        if head >= HEAD_ITEMS:
            measures["head_share"] = float(times.head(head).sum()) / len(model)
        if places / max(1, eligible) <= EVEN_SHARE:
            measures["largest_item_share"] = float(times[0]) / count
    own = model.filter(pl.col("user_id").is_in(settled.implode()))
    if own["user_id"].n_unique() >= fewest:
        measures["same_list_share"] = _same_list_share(own)
    return measures


def against(
    lists: pl.DataFrame, before: pl.DataFrame, changed: bool, fewest: int
) -> dict[str, float]:
    """What tonight's lists have in common with the last release's.

    `overlap` is the mean Jaccard index of a user's two lists; `overlap_own_over_others` that over
    the mean of the same with the last list of somebody else: near 1 nobody's list is their own.

    Args:
        lists, before: tonight's and the last release's lists.
        changed: whether events came in between; then lists that are all the same are stuck.
        fewest: users below which shares say nothing.
    """
    both = [frame.filter(pl.col("source") == release.MODEL) for frame in (lists, before)]
    new, old = (frame.select(*PAIR, "rank").sort("user_id", "rank") for frame in both)
    users = new["user_id"].unique().sort()
    users = users.filter(users.is_in(old["user_id"].unique().implode()))
    if len(users) < fewest:
        return {}
    shared = pl.DataFrame({"user_id": users})
    new, old = (frame.join(shared, on="user_id", how="semi") for frame in (new, old))
    half = len(users) // 2
    partner = pl.concat([users.tail(half), users.head(len(users) - half)])
    other = pl.DataFrame({"user_id": partner, "for": users})
    others = old.join(other, on="user_id").select("item_id", user_id="for")
    own, strange = (overlap(new, frame, users) for frame in (old, others))
    measures = {"overlap": own}
    if strange > 0:
        measures["overlap_own_over_others"] = own / strange
    if changed:
        same = new.sort("user_id", "rank").equals(old.sort("user_id", "rank"))
        measures["stuck_lists"] = float(same)
    return measures


def overlap(one: pl.DataFrame, other: pl.DataFrame, users: pl.Series) -> float:
    """Mean Jaccard index (Jaccard, 1912) of the two lists of each of `users`; 0 where one has none.

    Args:
        one, other: user_id, item_id; other users' lists are left out.
        users: whose, at least one.
    """
    chosen = pl.DataFrame({"user_id": users})
    one, other = (frame.join(chosen, on="user_id", how="semi") for frame in (one, other))
    shared = one.join(other, on=PAIR, how="inner").group_by("user_id").len("shared")
    sizes = pl.concat([one.select("user_id"), other.select("user_id")]).group_by("user_id").len()
    both = sizes.join(shared, on="user_id")
    return float((both["shared"] / (both["len"] - both["shared"])).sum()) / len(users)


def _same_list_share(lists: pl.DataFrame) -> float:
    """Share of the users who have the most common list, order and all; 0 where all differ."""
    ordered = lists.sort("user_id", "rank").group_by("user_id", maintain_order=True)
    counts = ordered.agg("item_id").group_by("item_id").len("times")["times"].to_numpy()
    most = counts.max(initial=0)
    return float(most / counts.sum()) if most > 1 else 0.0


def _due(users: pl.DataFrame, eligible: int, had: pl.DataFrame, k: int) -> pl.DataFrame:
    """How long each user's list must be: K, or all that may be listed and was not had before."""
    left = eligible - pl.col("had").cast(pl.Int64).fill_null(0)
    return users.join(had, on="user_id", how="left").select(
        "user_id", due=pl.min_horizontal(pl.lit(k, pl.Int64), left)
    )

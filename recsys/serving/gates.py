"""What must hold of the staged files before they go live; read back from disk, not from memory."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from recsys.errors import GateFault
from recsys.serving import release


@dataclass(frozen=True)
class Gate:
    """One line of the gate table."""

    name: str
    value: float
    limit: str
    verdict: Literal["pass", "fail"]


def audit(
    folder: Path, users: pl.Series, eligible: pl.Series, seen: pl.DataFrame | None, k: int
) -> list[Gate]:
    """Gates G1, G2, G7, G8 and G9 of the reliability promises, over staged lists.

    Args:
        folder: the staged release.
        users: ids of everyone who must have a list.
        eligible: ids of the items that may be listed.
        seen: user_id, item_id of what users have had; None where repeats are allowed.
        k: places of a list.
    """
    lists = release.read_lists(folder)
    known = pl.DataFrame({"user_id": users.unique()})
    strangers = lists.select("user_id").unique().join(known, on="user_id", how="anti")
    due = _due(known, eligible, seen, k)
    sizes = lists.group_by("user_id").len("size")
    owed = due.join(sizes, on="user_id", how="left").with_columns(pl.col("size").fill_null(0))
    short = pl.col("size").is_between(1, pl.col("due") - 1)
    had = 0 if seen is None else len(lists.join(seen, on=["user_id", "item_id"], how="semi"))
    foreign = len(lists) - int(lists["item_id"].is_in(eligible.implode()).sum())
    rows = {
        "users without a list": len(owed.filter((pl.col("size") == 0) & (pl.col("due") > 0))),
        "lists of unknown users": len(strangers),
        "lists shorter than possible": len(owed.filter(short)),
        "lists longer than asked for": len(sizes.filter(pl.col("size") > k)),
        "items that must not be listed": foreign,
        "items that the user has had": had,
        "lists that break the rules": len(release.problems(lists)),
    }
    return [
        Gate(name, value, "0", "pass" if value == 0 else "fail") for name, value in rows.items()
    ]


def require(gates: list[Gate]) -> None:
    """Refuses to publish when a gate failed.

    Raises:
        GateFault: naming each failed gate and its value.
    """
    failed = [gate for gate in gates if gate.verdict == "fail"]
    if failed:
        raise GateFault(
            f"{len(failed)} of {len(gates)} gates failed; the old release stays",
            value="; ".join(f"{gate.name}: {gate.value:,.9g} of {gate.limit}" for gate in failed),
            where="the staged release", fix="look at the report; mend the input and run again",
        )  # fmt: skip


def rows(gates: list[Gate]) -> list[dict[str, Any]]:
    """For manifests and reports."""
    return [asdict(gate) for gate in gates]


def _due(
    users: pl.DataFrame, eligible: pl.Series, seen: pl.DataFrame | None, k: int
) -> pl.DataFrame:
    """How long each user's list must be: K, or all that may be listed and was not had before."""
    had = pl.DataFrame(schema={"user_id": pl.String, "had": pl.UInt32})
    if seen is not None:
        kept = seen.filter(pl.col("item_id").is_in(eligible.implode()))
        had = kept.unique(["user_id", "item_id"]).group_by("user_id").len("had")
    left = len(eligible) - pl.col("had").cast(pl.Int64).fill_null(0)
    return users.join(had, on="user_id", how="left").select(
        "user_id", due=pl.min_horizontal(pl.lit(k, pl.Int64), left)
    )

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
    """Gates G1, G2, G7, G8 and G9 over staged lists.

    Args:
        folder: the staged release.
        users: ids of everyone who must have a list.
        eligible: ids of the items that may be listed.
        seen: user_id, item_id of what users have had; None where repeats are allowed.
        k: places of a list.
    """
    lists = release.read_lists(folder)
    listed = lists["user_id"].unique()
    missing = len(users) - int(users.is_in(listed.implode()).sum())
    unknown = len(listed) - int(listed.is_in(users.implode()).sum())
    had = 0 if seen is None else len(lists.join(seen, on=["user_id", "item_id"], how="semi"))
    foreign = len(lists) - int(lists["item_id"].is_in(eligible.implode()).sum())
    full = min(k, len(eligible))
    short = _short(lists, seen, full)
    wrong = len(release.problems(lists))
    rows = {
        "users without a list": missing,
        "lists of unknown users": unknown,
        "lists shorter than possible": short,
        "items that must not be listed": foreign,
        "items that the user has had": had,
        "lists that break the rules": wrong,
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
            value="; ".join(f"{gate.name}: {gate.value:g} (at most {gate.limit})" for gate in failed),
            where="the staged release", fix="look at the report; mend the input and run again",
        )  # fmt: skip


def rows(gates: list[Gate]) -> list[dict[str, Any]]:
    """For manifests and reports."""
    return [asdict(gate) for gate in gates]


def _short(lists: pl.DataFrame, seen: pl.DataFrame | None, full: int) -> int:
    """Users whose list is shorter than K and than what is left for them."""
    sizes = lists.group_by("user_id").len("size").filter(pl.col("size") < full)
    if sizes.is_empty():
        return 0
    if seen is None:
        return len(sizes)
    had = seen.unique(["user_id", "item_id"]).group_by("user_id").len("had")
    left = sizes.join(had, on="user_id", how="left").with_columns(pl.col("had").fill_null(0))
    return len(left.filter(pl.col("size") + pl.col("had") < full))

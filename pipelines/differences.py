"""`recsys diff V1 V2`: what changed from one release to another, in numbers, no user named."""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines.settings import Settings
from recsys import artefacts
from recsys.errors import InputFault, MismatchFault
from recsys.serving import release

EXAMPLES = 5


def run(settings: Settings, one: str, other: str) -> dict[str, Any]:
    """Compares two releases: lists, items, counts, gates, and what they were made from.

    Args:
        settings: of the work folder.
        one, other: names of releases, or the beginning of one name each, such as a date.

    Raises:
        InputFault: there is no such release, or more than one; or one is damaged.
        MismatchFault: their lists are of other lengths, or their ids of other types.
    """
    root = settings.root / "releases"
    names = [_name(root, part) for part in (one, other)]
    old, new = (artefacts.read(root / name, release.KIND) for name in names)
    _check_alike(old, new)
    lists = [release.read_lists(root / name) for name in names]
    found = {
        "from": names[0],
        "to": names[1],
        "lists": _lists(*lists),
        "items": _items(*lists),
        "counts": _changed(old["counts"], new["counts"]),
        "gates": _gates(old["gates"], new["gates"]),
        "parents": _changed(old["parents"], new["parents"]),
    }
    return {"text": _text(found), **found}


def _name(root: Path, part: str) -> str:
    """The release that is called so, or whose name alone begins so."""
    known = artefacts.versions(root)
    near = [part] if part in known else [name for name in known if name.startswith(part)]
    if len(near) != 1:
        raise InputFault(
            "no such release" if not near else f"{len(near)} releases are called so",
            value=part, where=str(root),
            fix=f"one of: {', '.join(near or known[-10:]) or '(none)'}",
        )  # fmt: skip
    return near[0]


def _check_alike(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Lists of another length or with ids of another type differ in every row."""
    shapes = [
        {"nightly.k": one["settings"]["nightly"]["k"], "integer ids": one["integer_ids"]}
        for one in (old, new)
    ]
    for name, value in shapes[0].items():
        if value != shapes[1][name]:
            raise MismatchFault(
                f"the lists of these releases cannot be compared: {name} differs",
                value=f"{value} and {shapes[1][name]}", where="their manifests",
                fix="make both nights with the same settings, from ids of one type",
            )  # fmt: skip


def _lists(old: pl.DataFrame, new: pl.DataFrame) -> dict[str, float]:
    """How many users came, went or have other lists; the share of places whose item stayed."""
    of_user = [
        frame.group_by("user_id").agg(pl.col("item_id").sort_by("rank")) for frame in (old, new)
    ]
    both = of_user[0].join(of_user[1], on="user_id", suffix="_new")
    shared = pl.col("item_id").list.set_intersection("item_id_new").list.len()
    length = pl.max_horizontal(pl.col("item_id").list.len(), pl.col("item_id_new").list.len())
    kept = both.select((shared / length).mean()).item()
    other_items = both.filter(shared < length).height
    return {
        "users_in_both": both.height,
        "users_gone": of_user[0].height - both.height,
        "users_new": of_user[1].height - both.height,
        "users_with_other_items": other_items,
        "users_with_another_order": both.filter(pl.col("item_id") != pl.col("item_id_new")).height
        - other_items,
        "items_kept_per_list": round(kept, 4) if kept is not None else 0.0,
    }


def _items(old: pl.DataFrame, new: pl.DataFrame) -> dict[str, Any]:
    """Items that are listed no more or for the first time, those in most lists first."""
    gone = old.join(new, on="item_id", how="anti")["item_id"]
    come = new.join(old, on="item_id", how="anti")["item_id"]
    return {
        "gone": gone.n_unique(),
        "come": come.n_unique(),
        "gone_first": _most(gone),
        "come_first": _most(come),
    }


def _most(items: pl.Series) -> list[dict[str, Any]]:
    table = pl.DataFrame({"item_id": items}).group_by("item_id").len("lists")
    return table.sort("lists", "item_id", descending=[True, False]).head(EXAMPLES).to_dicts()


def _changed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """What differs, as [before, after]."""
    return {
        name: [old.get(name), new.get(name)]
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _gates(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gates with another verdict, as [before, after], and what was measured."""
    before, after = ({gate["name"]: gate for gate in gates} for gates in (old, new))
    return [
        {
            "gate": name,
            **{
                key: [before.get(name, {}).get(key), after.get(name, {}).get(key)]
                for key in ("verdict", "measured")
            },
        }
        for name in sorted(before.keys() | after.keys())
        if before.get(name, {}).get("verdict") != after.get(name, {}).get("verdict")
    ]


def _text(found: dict[str, Any]) -> str:
    lists, items = found["lists"], found["items"]
    lines = [
        f"{found['from']} -> {found['to']}",
        *(f"  {name.replace('_', ' ')}: {value:,}" for name, value in lists.items()),
    ]
    for which in ("gone", "come"):
        first = ", ".join(f"{row['item_id']} ({row['lists']:,})" for row in items[f"{which}_first"])
        lines.append(f"  items {which}: {items[which]:,}" + (f", first {first}" if first else ""))
    for title in ("counts", "parents"):
        changes = found[title].items()
        lines += [f"  {name.replace('_', ' ')}: {old} -> {new}" for name, (old, new) in changes]
    for gate in found["gates"]:
        (old, new), values = gate["verdict"], gate["measured"]
        lines.append(
            f"  gate {gate['gate']}: {old or '-'} -> {new or '-'}"
            f" ({_number(values[0])} -> {_number(values[1])})"
        )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

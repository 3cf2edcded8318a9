"""Cleaning as a whole: accounts, duplicates over files, unknown items, weights, budgets."""

import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import interactions
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

NOW = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
START = 1_785_578_591
FATES = ("read", "kept", "quarantined", "duplicate", "filtered")
HEAD = "user_id,item_id,timestamp,event\n"
EVENT = st.tuples(
    st.sampled_from(["u1", "u2", ""]),
    st.sampled_from(["i1", "i2", "gone"]),
    st.integers(START, START + 2),
    st.sampled_from(["view", "cart", "what"]),
)
LOOSE: dict[str, object] = {
    "timestamp_unit": "s", "quarantine_fail": 1.0, "unknown_items_fail": 1.0, "buckets": 2,
}  # fmt: skip


def ingest(
    files: dict[str, str], known: set[str] | None = None, **settings: object
) -> interactions.Ingested:
    """Ingests parts given as texts."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "interactions").mkdir()
        for name, text in files.items():
            (Path(folder) / "interactions" / name).write_text(text)
        chosen = DataSettings.model_validate({"folder": folder, **LOOSE, **settings})
        return interactions.ingest(chosen, known, NOW)


@given(st.lists(st.lists(EVENT, max_size=8), min_size=1, max_size=3))
def test_every_row_goes_where_a_plain_loop_puts_it(
    files: list[list[tuple[str, str, int, str]]],
) -> None:
    texts = {
        f"part-{number}.csv": HEAD + "".join(",".join(map(str, row)) + "\n" for row in rows)
        for number, rows in enumerate(files)
    }
    seen: set[tuple[str, str, int, str]] = set()
    expected: dict[str, Counter[str]] = {}
    kept = []
    for name, rows in zip(texts, files, strict=True):
        fates: Counter[str] = Counter(read=len(rows))
        for row in rows:
            if not row[0] or row[3] == "what":
                fates["quarantined"] += 1
            elif row[1] == "gone":
                fates["filtered"] += 1
            elif row in seen:
                fates["duplicate"] += 1
            else:
                fates["kept"] += 1
                kept.append(row)
            seen |= {row} if row[0] and row[3] != "what" else set()
        expected[f"interactions/{name}"] = fates
    result = ingest(texts, {"i1", "i2"})
    for name, account in result.account.accounting.items():
        assert all(account[fate] == expected[name][fate] for fate in FATES), (name, account)
    # Python's sort is stable, so equal (user, time) keep the order of files and rows.
    order = sorted(kept, key=lambda row: (row[0], row[2]))
    frame = result.frame.with_columns(pl.col("timestamp").dt.epoch("s"))
    assert frame.select("user_id", "item_id", "timestamp", "event").rows() == order
    assert frame["sequence"].n_unique() == frame.height


def rows(*events: str) -> dict[str, str]:
    """One file without an event column."""
    return {"part-0.csv": "user_id,item_id,timestamp,rating\n" + "".join(f"{e}\n" for e in events)}


def test_weights_come_from_the_row_else_from_the_event() -> None:
    named = {"names": {"weight": "rating"}}
    files = rows(f"u1,i1,{START},4.5", f"u1,i2,{START},", f"u1,i3,{START}, 2e0 ")
    assert ingest(files, **named).frame["weight"].to_list() == [4.5, 1.0, 2.0]
    result = ingest(files, **named, min_weight=2.0)
    assert result.frame["weight"].to_list() == [4.5, 2.0]
    assert result.account.filtered == {"small_weight": 1}


def test_the_event_gives_the_weight() -> None:
    files = {"a.csv": HEAD + f"u1,i1,{START},purchase\nu1,i1,{START},view\n"}
    assert ingest(files).frame["weight"].to_list() == [5.0, 1.0]
    plain = rows(f"u1,i1,{START},9")
    assert ingest(plain, default_event="cart").frame.select("event", "weight").rows() == [
        ("cart", 3.0)
    ]


def test_unknown_items_warn_then_refuse() -> None:
    files = rows(*(f"u1,i{number % 50},{START + number},1" for number in range(100)))
    known = {f"i{number}" for number in range(49)}  # 2 of 100 rows are on i49
    result = ingest(files, known)
    assert result.account.filtered == {"unknown_item": 2}
    assert "2 of 100 rows (2.00%)" in result.account.warnings[-1]
    assert "'i49'" in result.account.warnings[-1]
    with pytest.raises(InputFault, match="outside the catalogue"):
        ingest(files, {"i0"}, unknown_items_fail=0.1)


def test_bad_rows_warn_then_refuse_and_messages_name_file_row_and_column() -> None:
    files = rows(
        *(f"u1,i1,{START + number},1" for number in range(98)), "u1,,5,1", "u1,i1,x\x1by,1"
    )
    result = ingest(files)
    assert (
        "2 of 100 rows (2.00%) are bad: bad_timestamp 1, empty_id 1" in result.account.warnings[-1]
    )
    with pytest.raises(InputFault) as caught:
        ingest(files, quarantine_fail=0.01)
    text = str(caught.value)
    assert "interactions/part-0.csv:101:timestamp bad_timestamp not a time ('x\\x1by')" in text
    assert "interactions/part-0.csv:100:item_id empty_id" in text


def test_extra_columns_are_kept_and_others_are_named() -> None:
    files = rows(f"u1,i1,{START},4.5")
    assert ingest(files, extra_columns=["rating"]).frame["rating"].to_list() == ["4.5"]
    result = ingest(files)
    assert "rating" not in result.frame.columns
    assert "rating" in result.account.warnings[0]
    with pytest.raises(InputFault, match="column page is missing"):
        ingest(files, extra_columns=["page"])


def test_same_bytes_same_result() -> None:
    files = {"b.csv": HEAD + f"u1,i1,{START},view\n", "a.csv": HEAD + f"u1,i2,{START},view\n"}
    one, two = ingest(files), ingest(dict(reversed(files.items())))
    assert one.frame.equals(two.frame)
    assert one.frame["item_id"].to_list() == ["i2", "i1"]  # a.csv comes before b.csv


def test_no_table_and_two_tables(tmp_path: Path) -> None:
    settings = DataSettings(folder=str(tmp_path))
    with pytest.raises(InputFault, match="has no interactions"):
        interactions.ingest(settings, None, NOW)
    (tmp_path / "interactions.csv").write_text(HEAD)
    (tmp_path / "interactions.jsonl").write_text("\n")
    with pytest.raises(InputFault, match="stands there 2 times"):
        interactions.ingest(settings, None, NOW)
    with pytest.raises(InputFault, match="does not exist"):
        interactions.ingest(DataSettings(folder=str(tmp_path / "no")), None, NOW)

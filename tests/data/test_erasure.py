"""The list of erased ids: what it holds, whose rows it names, and that ingest drops just those."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import catalogue, entities, erasure, faults, interactions
from recsys.data.accounts import FATES
from recsys.data.erasure import Erased
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

NOW = 1_795_132_800.0  # 2026-11-20
HEAD = "user_id,item_id,timestamp,event\n"
ROW = st.tuples(
    st.sampled_from(["u1", "u2", "u11"]), st.sampled_from(["i1", "i2"]),
    st.sampled_from(["2026-08-01T10:00:00Z", "2026-08-02T10:00:00Z", "yesterday"]),
    st.sampled_from(["view", "cart"]),
)  # fmt: skip


def dataset(folder: Path, *rows: tuple[str, ...]) -> DataSettings:
    folder.mkdir(exist_ok=True)
    text = HEAD + "".join(",".join(row) + "\n" for row in rows)
    (folder / "interactions.csv").write_text(text)
    return DataSettings(folder=str(folder), quarantine_fail=1.0)


def test_the_list_holds_no_ids_and_users_and_items_apart(tmp_path: Path) -> None:
    assert not erasure.read(tmp_path)
    erasure.remember(tmp_path, "user", "b42")
    erasure.remember(tmp_path, "user", "b42")
    known = erasure.read(tmp_path)
    assert known.holds("user", "b42")
    assert not known.holds("item", "b42")
    assert list(known.users.values()) == [3]
    assert not any(b"b42" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_damaged_list_is_refused_before_anybody_comes_back(tmp_path: Path) -> None:
    erasure.remember(tmp_path, "item", "i1")
    path = tmp_path / "erasures" / "list" / "erased.json"
    path.write_text(path.read_text().replace("a", "b"))
    with pytest.raises(InputFault, match="damaged"):
        erasure.read(tmp_path)


@pytest.mark.parametrize(
    ("raw", "theirs"),
    [
        ("u1,i1,yesterday,view", True),
        ("u11,i1,yesterday,view", False),  # a longer word
        ("u1-a,i1,yesterday,view", False),
        ('"u1";i1;yesterday', True),
        ('{"user_id": "u1", "item_id": "i1"}', True),
        ('{"user_id": "u2", "item_id": "u1"}', False),  # another field says who it is
        ('{"user_id": "u1", "item_', True),  # a torn line
        ("", False),
        (None, False),
    ],
)
def test_refused_lines_are_theirs_as_a_word(raw: str | None, theirs: bool) -> None:
    rows = pl.DataFrame(
        {"row": [2], "code": ["bad_timestamp"], "raw": [raw]}, schema_overrides={"raw": pl.String}
    )
    found = erasure.concerned(faults.quarantine(rows, "a.csv"), Erased().adding("user", "u1"))
    assert found.to_list() == [theirs]


def test_numbers_are_ids_too() -> None:
    frame = pl.DataFrame({"user_id": [7, 70, None], "item_id": [1, 7, 7]})
    left = erasure.without(frame, Erased().adding("user", "7"))
    assert left["user_id"].to_list() == [70, None]


@settings(max_examples=40)
@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_ingest_drops_their_rows_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    data = dataset(tmp_path_factory.mktemp("data") / "shop", *rows)
    whole = interactions.ingest(data, {"i1", "i2"}, NOW)
    left = interactions.ingest(data, {"i1", "i2"}, NOW, Erased().adding("user", "u1"))
    assert left.frame.equals(whole.frame.filter(pl.col("user_id") != "u1"))
    theirs = sum(row[0] == "u1" for row in rows)
    assert left.account.filtered.get("erased", 0) == theirs
    assert not left.account.quarantine["raw"].str.contains('"u1"').any()
    account = left.account.accounting["interactions.csv"]
    assert account["read"] == sum(account[fate] for fate in FATES)
    assert account["filtered"] == theirs


def test_an_erased_item_is_not_named_as_unknown(tmp_path: Path) -> None:
    row = ("u1", "i1", "2026-08-01T10:00:00Z", "view")
    data = dataset(tmp_path, row, ("u1", "i2", *row[2:]))
    cleaned = interactions.ingest(data, {"i2"}, NOW, Erased().adding("item", "i1"))
    (told,) = cleaned.account.warnings
    assert told.startswith("1 rows of erased users or items")
    assert "'interactions.csv'" in told
    assert cleaned.account.filtered == {"erased": 1}


def test_the_catalogue_leaves_them_out(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\ni1,lamp\nI1,chair\ni2,desk\n")
    (tmp_path / "users.csv").write_text("user_id,age\nu1,30\nU1,31\n")
    data = DataSettings(folder=str(tmp_path))
    erased = Erased().adding("item", "i1").adding("user", "u1")
    found = catalogue.read(data, catalogue.CatalogueSettings(), tmp_path, erased)
    assert found.items["item_id"].to_list() == ["I1", "i2"]
    assert found.users is not None
    assert found.users["user_id"].to_list() == ["U1"]
    assert found.counts["items"] == 2
    assert [told.rpartition(": ")[2] for told in found.warnings] == ["'items.csv'", "'users.csv'"]


def test_warnings_name_items_and_count_users() -> None:
    (told,) = entities.near_twins(pl.Series("item_id", ["i1", "I1", "i2"]))
    assert "'i1' and 'I1'" in told or "'I1' and 'i1'" in told
    (told,) = entities.near_twins(pl.Series("user_id", ["u1", "U1", "u2"]))
    assert told.startswith("1 groups of user_id")
    assert "u1" not in told

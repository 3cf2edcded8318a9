"""A release: same inputs, same bytes; every damage and every broken rule is found and named."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import artefacts
from recsys.errors import InputFault
from recsys.serving import audit, release, stored_lists
from recsys.serving.reranking import Ranked
from recsys.serving.stored_lists import StoredLists

IDS = ("a", "b", "c", "d")


def ranked(rows: list[list[int]], terms: list[list[list[float]]]) -> Ranked:
    weighted = np.array(terms, np.float64)
    scores = np.where(np.array(rows) >= 0, weighted.sum(axis=-1), -np.inf)
    return Ranked(np.array(rows, np.int64), scores, weighted)


def lists() -> pl.DataFrame:
    terms = [[[3.0, 0.5], [2.0, 0.25]], [[1.0, 0.0], [0.0, 0.0]]]
    return release.list_frame(("u2", "u1"), ranked([[1, 0], [3, -1]], terms), ("s", "p"), IDS)


def publish(root: Path, name: str, frame: pl.DataFrame | None = None) -> None:
    with artefacts.publishing(root, name, release.KIND) as staged:
        frame = lists() if frame is None else frame
        staged.rows |= release.write_parts([frame], staged.folder / "lists")
        neighbours = pl.DataFrame(
            {"item_id": ["a"], "rank": [1], "similar_item_id": ["b"], "score": [0.5]}
        )
        staged.rows |= release.write_parts([neighbours], staged.folder / "similar")


def test_golden() -> None:
    assert lists().rows() == [
        ("u1", 1, "d", 1.0, 1.0, 0.0, "model"),
        ("u2", 1, "b", 3.5, 3.0, 0.5, "model"),
        ("u2", 2, "a", 2.25, 2.0, 0.25, "model"),
    ]
    assert lists().columns == ["user_id", "rank", "item_id", "score", "term_s", "term_p", "source"]


def test_popular_lists_golden() -> None:
    terms = np.array([[[0.0, 2.0], [0.0, 1.0], [0.0, 0.0]]] * 2)
    scores = np.array([[2.0, 1.0, -np.inf]] * 2)
    ranked = Ranked(np.array([[2, 0, -1]] * 2), scores, terms)
    frame = release.popular_frame(["u9", "u3"], ranked, ("s", "p"), IDS)
    assert frame.rows() == [
        ("u3", 1, "c", 2.0, 0.0, 2.0, "popular"),
        ("u3", 2, "a", 1.0, 0.0, 1.0, "popular"),
        ("u9", 1, "c", 2.0, 0.0, 2.0, "popular"),
        ("u9", 2, "a", 1.0, 0.0, 1.0, "popular"),
    ]
    assert frame.schema == lists().schema


def test_nobody() -> None:
    nobody = Ranked(np.zeros((0, 1), np.int64), np.zeros((0, 1)), np.zeros((0, 1, 2)))
    frame = release.popular_frame([], nobody, ("s", "p"), IDS)
    assert frame.is_empty()
    assert frame.schema == lists().schema


def test_whole_numbers_go_back_and_sort_as_numbers() -> None:
    frame = lists().with_columns(user_id=pl.Series(["10", "9", "9"]))
    back = release.outside_ids(frame, {"user_id": True, "item_id": False})
    assert back["user_id"].to_list() == [9, 9, 10]
    assert back["user_id"].dtype == pl.Int64
    assert back["rank"].to_list() == [1, 2, 1]
    assert back["item_id"].to_list() == ["b", "a", "d"]
    assert release.outside_ids(frame, {"user_id": False}).equals(frame)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_lists_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "ROWS_PER_PART", 1000)
    random = np.random.default_rng(0)
    users = tuple(f"u{number}" for number in range(500))
    rows = np.stack([random.permutation(40)[:5] for _ in users])
    terms = -np.sort(-random.normal(size=(500, 5, 3)), axis=1)
    ids = tuple(f"i{number}" for number in range(40))
    orders = (np.arange(500), random.permutation(500))  # buckets come in any order
    for name, order in zip(("one", "two"), orders, strict=True):
        some = Ranked(rows[order], terms[order].sum(axis=-1), terms[order])
        frame = release.list_frame(
            tuple(users[place] for place in order), some, ("s", "p", "f"), ids
        )
        publish(tmp_path / name, "v1", frame)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    manifest = artefacts.read(tmp_path / "one" / "v1", release.KIND)
    parts = {name: entry["rows"] for name, entry in manifest["files"].items() if "lists" in name}
    assert parts == {"lists/part-00000.parquet": 1000, "lists/part-00001.parquet": 1000,
                     "lists/part-00002.parquet": 500}  # fmt: skip
    assert audit.verify(tmp_path / "one")["rows"] == 2500


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("together", [1, 40, 120, 500])
def test_lists_written_block_by_block_are_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool, together: int
) -> None:
    monkeypatch.setattr(release, "ROWS_PER_PART", 300)
    random, kinds = np.random.default_rng(0), {"user_id": whole}
    users = tuple(str(number) for number in random.permutation(250))
    rows = np.stack([random.permutation(40)[:4] for _ in users])
    some = Ranked(rows, random.normal(size=(250, 4)), random.normal(size=(250, 4, 2)))
    table = release.list_frame(users, some, ("s", "p"), tuple(map(str, range(40))))
    release.write_parts([release.outside_ids(table, kinds)], tmp_path / "table" / "lists")
    ordered = pl.Series(users).gather(release.order(pl.Series(users), whole))
    blocks = (ordered[start : start + together] for start in range(0, 250, together))
    frames = (table.filter(pl.col("user_id").is_in(block.implode())) for block in blocks)
    (tmp_path / "blocks").mkdir()
    staged = artefacts.Staged(tmp_path / "blocks")
    release.write_lists(staged, frames, kinds)
    assert digest(tmp_path / "blocks") == digest(tmp_path / "table")
    assert list(staged.rows.values()) == [300, 300, 300, 100]


def stored(frame: pl.DataFrame, *cuts: int) -> StoredLists:
    """The rows of a table in parts that begin at the cuts, too."""
    ends = zip((0, *cuts), (*cuts, len(frame)), strict=True)
    return stored_lists.of([frame[start:stop].lazy() for start, stop in ends])


@pytest.mark.parametrize("rows", [1, 2, 4, 100])
def test_stored_lists_are_found_wherever_files_end(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_lists, "ROWS", rows)
    sizes = {"10": 3, "9": 1, "c": 2, "b": 4}
    frame = pl.concat([
        lists().head(1).with_columns(user_id=pl.lit(user), rank=pl.lit(rank, pl.Int32))
        for user, size in sizes.items() for rank in range(1, size + 1)
    ])  # fmt: skip
    for cuts in ((), (1, 1, 4, 5), (3, 9)):
        found = stored(frame, *cuts)
        assert dict(zip(found.users, found.sizes, strict=True)) == sizes
        assert found.rows == 10
        assert pl.concat(found.each()).equals(frame)
        assert max(len(part) for part in found.each(["rank"])) <= max(rows, 4)
        places = found.places(pl.Series(["b", "nobody", "10", "c"]))
        assert places.tolist() == [3, -1, 0, 2]
        assert found.at(places).equals(frame.filter(pl.col("user_id") != "9"))
        assert found.at(places[1:2]).equals(frame.clear())


def test_a_list_in_two_places_is_refused() -> None:
    frame = lists().with_columns(user_id=pl.Series(["u1", "u2", "u1"]))
    with pytest.raises(InputFault, match="do not stand together"):
        stored(frame, 2)


def test_verify_counts(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    checked = audit.verify(tmp_path)
    assert {key: checked[key] for key in ("release", "files", "users", "rows", "stray")} == {
        "release": "v1", "files": 2, "users": 2, "rows": 3, "stray": [],
    }  # fmt: skip
    assert release.read_similar(tmp_path / "v1").rows() == [("a", 1, "b", 0.5)]


def test_l01_a_part_is_missing(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    (tmp_path / "v1" / "lists" / "part-00000.parquet").unlink()
    with pytest.raises(InputFault, match=r"part-00000\.parquet is missing"):
        audit.verify(tmp_path)


def test_l02_yesterdays_part(tmp_path: Path) -> None:
    publish(tmp_path, "v1", lists().with_columns(score=pl.col("score") + 1))
    publish(tmp_path, "v2")
    part = Path("lists") / "part-00000.parquet"
    shutil.copy(tmp_path / "v1" / part, tmp_path / "v2" / part)
    with pytest.raises(InputFault, match="damaged: part-00000"):
        audit.verify(tmp_path)


def test_l03_the_pointer_names_what_is_gone(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    publish(tmp_path, "v2")
    shutil.rmtree(tmp_path / "v2")
    with pytest.raises(InputFault, match=r"names no release(.|\n)*v1"):
        audit.verify(tmp_path)


WRONG = {
    "an item stands twice": lists().with_columns(item_id=pl.Series(["d", "b", "b"])),
    "ranks have gaps": lists().with_columns(rank=pl.Series([1, 1, 3], dtype=pl.Int32)),
    "a score rises": lists().with_columns(score=pl.Series([1.0, 2.0, 3.0])),
    "a score is not finite": lists().with_columns(score=pl.Series([1.0, 3.0, float("nan")])),
}


@pytest.mark.parametrize("rows", [1, 1_000_000])
@pytest.mark.parametrize("what", WRONG)
def test_l04_lists_that_break_the_rules(
    tmp_path: Path, what: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_lists, "ROWS", rows)  # that are checked together
    publish(tmp_path, "v1", WRONG[what])
    with pytest.raises(InputFault, match=f"{what} in the lists of 1 users: u2"):
        audit.verify(tmp_path)
    assert audit.problems(stored(lists())) == []


@pytest.mark.parametrize("rows", [1, 2, 1_000_000])
def test_l04_names_the_first_twenty_users(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_lists, "ROWS", rows)  # that are checked together
    frame = pl.concat(
        [lists().with_columns(user_id=pl.lit(f"u{number:02}"), rank=pl.lit(2, pl.Int32)).head(1)
         for number in range(30)]
    )  # fmt: skip
    (found,) = audit.problems(stored(frame))
    assert "30 users" in found
    assert "u19" in found
    assert "u20" not in found


def test_l05_stray_files_are_named_and_not_read(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    folder = tmp_path / "v1" / "lists"
    shutil.copy(folder / "part-00000.parquet", folder / "part-00001.parquet")
    (folder / "part.tmp").write_text("half")
    checked = audit.verify(tmp_path)
    assert checked["stray"] == ["lists/part-00001.parquet", "lists/part.tmp"]
    assert checked["rows"] == 3


@pytest.mark.parametrize(("text", "fine"), [("v1\r\n", True), ("v1", True), ("", False),
                                            ("\n", False), ("../v1", False)])  # fmt: skip
def test_l07_the_pointer_file(tmp_path: Path, text: str, fine: bool) -> None:
    publish(tmp_path, "v1")
    (tmp_path / artefacts.POINTER).write_bytes(text.encode())
    if fine:
        assert audit.verify(tmp_path)["release"] == "v1"
    else:
        with pytest.raises(InputFault, match="names no release"):
            audit.verify(tmp_path)


def test_a_folder_whose_name_holds_wildcards(tmp_path: Path) -> None:
    publish(tmp_path / "re[le]ases*", "v1")
    assert audit.verify(tmp_path / "re[le]ases*")["rows"] == 3


def test_rollback(tmp_path: Path) -> None:
    for name in ("v1", "v2", "v3"):
        publish(tmp_path, name)
    assert audit.rollback(tmp_path, "v1")["release"] == "v1"
    assert audit.verify(tmp_path)["release"] == "v1"


def test_rollback_to_nowhere_names_what_there_is(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    for to in ("v9", "", "..", ".staging-v1-dead"):
        with pytest.raises(InputFault, match=r"no such release(.|\n)*one of: v1"):
            audit.rollback(tmp_path, to)
    assert audit.verify(tmp_path)["release"] == "v1"


def test_rollback_to_a_damaged_release_leaves_the_live_one(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    publish(tmp_path, "v2")
    path = tmp_path / "v1" / "lists" / "part-00000.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputFault, match="damaged"):
        audit.rollback(tmp_path, "v1")
    assert audit.verify(tmp_path)["release"] == "v2"


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 6))
def test_what_the_reranker_orders_has_no_problems(seed: int, users: int, k: int) -> None:
    random = np.random.default_rng(seed)
    terms = random.normal(size=(users, k, 2))
    order = np.argsort(-terms.sum(axis=-1), axis=1)
    terms = np.take_along_axis(terms, order[..., None], 1)
    rows = np.stack([random.permutation(9)[:k] for _ in range(users)])
    rows = np.where(np.arange(k) >= random.integers(0, k + 1, (users, 1)), -1, rows)
    names = tuple(f"u{number}" for number in random.permutation(users))
    frame = release.list_frame(
        names, Ranked(rows, terms.sum(axis=-1), terms), ("s", "p"), tuple("abcdefghi")
    )
    assert audit.problems(stored(frame)) == []
    assert len(frame) == (rows >= 0).sum()


def test_l03_back_to_the_newest_whole_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("v1", "v2", "v3"):
        publish(tmp_path, name)
    (tmp_path / "v2" / "lists" / "part-00000.parquet").write_bytes(b"")
    assert audit.rollback(tmp_path, "previous")["release"] == "v1"
    assert "v2 is passed over" in capsys.readouterr().err
    (tmp_path / "CURRENT").write_text("gone\n")  # F21: then the newest of all
    assert audit.rollback(tmp_path, "previous")["release"] == "v3"
    shutil.rmtree(tmp_path / "v1")
    (tmp_path / "CURRENT").write_text("v2\n")
    with pytest.raises(InputFault, match="no such release"):
        audit.rollback(tmp_path, "previous")

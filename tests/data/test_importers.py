"""How files of public data sets are read, refused and published, whatever is in them."""

import csv
import gzip
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import durable
from recsys.data.importers import (
    blocks,
    columns,
    delimited,
    folder,
    importing,
    movielens,
    npy,
    origin,
    rows,
)
from recsys.data.importers.plan import Delimited, JsonLines, ParquetFile, Plan, Table
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, LockFault

FIELD = st.text(st.sampled_from('ab",; \n\r7é'), max_size=6)
ROWS = st.lists(st.lists(FIELD, min_size=2, max_size=3), max_size=8)
AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few bytes: every row lies on the border of two."""
    monkeypatch.setattr(blocks, "BLOCK", 5)


def read(where: Path, data: bytes, form: Delimited, wanted: tuple[str, ...] = ()) -> list[tuple]:
    """Rows with their numbers; refused ones as (number, why)."""
    (where / "data").mkdir(exist_ok=True)
    (where / "data" / "f.csv").write_bytes(data)
    chunks = list(rows.read(origin.opened(where / "data"), "f.csv", form, wanted))
    bad = [(row.row, row.why) for chunk in chunks for row in chunk.refused]
    return sorted([row for chunk in chunks for row in chunk.frame.iter_rows()] + bad)


@AGAIN
@given(table=ROWS, end=st.sampled_from(["\n", "\r\n"]))
@pytest.mark.usefixtures("small_blocks")
def test_csv_across_blocks_is_that_of_the_csv_module(
    tmp_path: Path, table: list[list[str]], end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *table])
    expected = [
        (number, *row) if len(row) == 2 else (number, delimited.MANY)
        for number, row in enumerate(table, start=2)
    ]
    assert read(tmp_path, text.getvalue().encode(), Delimited()) == expected


@AGAIN
@given(data=st.binary(max_size=60).map(lambda tail: b"a,b\n" + tail), quoted=st.booleans())
@pytest.mark.usefixtures("small_blocks")
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, quoted: bool) -> None:
    try:
        found = read(tmp_path, data, Delimited(quoted=quoted))
    except InputFault:
        return
    numbers = [row[0] for row in found]
    assert len(numbers) == len(set(numbers))
    if not quoted:
        lines = enumerate(data.decode().split("\n"), start=1)
        assert set(numbers) >= {number for number, line in lines if number > 1 and line.strip()}


@pytest.mark.usefixtures("small_blocks")
def test_long_separators_stand_on_block_borders(tmp_path: Path) -> None:
    form = Delimited("::", ("u", "t", "r"), quoted=False, encoding="latin-1")
    data = '1::Caf\xe9: "x"::5\r\n\n2::b\n3::b::c::d\n4::::\n'.encode("latin-1")
    assert read(tmp_path, data, form) == [
        (1, "1", 'Caf\xe9: "x"', "5"), (3, delimited.FEW), (4, delimited.MANY), (5, "4", "", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"user,b\n1,2\n", "'userId' is missing; 'user' is there"),
        (b"userId;b\n1;2\n", "'userId' is missing"),
        (b"userId,userId\n1,2\n", "stands twice"),
        (b"userId,b\n1,2\n\xe9,3\n", "row 3 is not utf-8"),
        (b"userId,b\r1,2\r", "CR only"),
        (b'userId,b\n1,"2\n3,4\n', "no CSV file"),
    ],
)
def test_a_file_of_another_kind_is_one_clear_error(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(InputFault, match=r"f\.csv") as caught:
        read(tmp_path, data, Delimited(), ("userId",))
    assert said in str(caught.value)
    assert caught.value.fix


def test_an_empty_file_without_a_header_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(InputFault, match="empty"):
        read(tmp_path, b"", Delimited(header=("a",)))


def test_bad_json_lines_cost_themselves_alone(tmp_path: Path) -> None:
    lines = [b'{"a": "x", "n": 1}', b"{bad", b"[1]", b"", b'{"n": "x"}', b'{"zz": {}}']
    (tmp_path / "f.jsonl").write_bytes(b"\n".join(lines) + b'\n{"a": "torn')
    schema = JsonLines({"a": pl.String(), "n": pl.Int64()})
    chunks = list(rows.read(origin.opened(tmp_path), "f.jsonl", schema, ("a", "n")))
    good = [row for chunk in chunks for row in chunk.frame.iter_rows()]
    assert good == [(1, "x", 1), (6, None, None)]
    refused = [row for chunk in chunks for row in chunk.refused]
    assert [(row.row, row.why.split(":")[0]) for row in refused] == [
        (2, "not valid JSON"), (3, "not a JSON object"), (5, "another type than expected"),
        (7, "not valid JSON"),
    ]  # fmt: skip


def test_compressed_files_have_limits(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 3_000_000)
    (tmp_path / "bomb.csv.gz").write_bytes(packed)
    (tmp_path / "torn.csv.gz").write_bytes(gzip.compress(os.urandom(5000))[:-100])
    for name, said in (("bomb.csv.gz", "far more than it should"), ("torn.csv.gz", "truncated")):
        with pytest.raises(InputFault, match=said):
            list(rows.read(origin.opened(tmp_path), name, Delimited(), ("a",)))


def test_nothing_outside_the_data_set_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    data = tmp_path / "data"
    (data / "images" / "01").mkdir(parents=True)
    (data / "f.csv").symlink_to(tmp_path / "secret.csv")
    for name in ("1.jpg", ".hidden.jpg"):
        (data / "images" / "01" / name).write_bytes(b"x")
    (data / "images" / "2.jpg").symlink_to(tmp_path / "secret.csv")
    (data / "images" / "out").symlink_to(tmp_path)
    found = origin.opened(data)
    assert found.folder("images") == {"1": "images/01/1.jpg"}
    with pytest.raises(InputFault, match="link out of the folder"):
        list(rows.read(found, "f.csv", Delimited(), ("a",)))


def test_names_in_archives_lead_nowhere(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("ml/ratings.csv", "a\n1\n")
        archive.writestr("ml/../../evil.csv", "a\n1\n")
    found = origin.opened(tmp_path / "x.zip")
    assert found.names == ("ratings.csv",)
    with pytest.raises(InputFault, match="inside an archive"):
        found.location("ratings.csv")


def test_vectors_are_plain_matrices(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path}/pwned",)

    np.save(tmp_path / "a_feat.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    (tmp_path / "b_feat.npy").write_bytes(pickle.dumps(Evil()))
    np.save(tmp_path / "c_feat.npy", np.arange(4))
    np.save(tmp_path / "d_feat.npy", np.zeros((2, 3)))
    np.save(tmp_path / "e_feat.npy", np.array([[1.0, np.nan], [3, 4], [0, 0]]))
    found = origin.opened(tmp_path)
    for name in ("a", "b", "c", "d"):
        with pytest.raises(InputFault):
            npy.write(found, f"{name}_feat.npy", tmp_path / "features" / "v.parquet")
    account = npy.write(found, "e_feat.npy", tmp_path / "features" / "v.parquet")
    assert (account.read, account.kept, account.refused) == (3, 1, 2)
    table = pl.read_parquet(tmp_path / "features" / "v.parquet").to_dicts()
    assert table == [{"item_id": 1, "vector": [3.0, 4.0]}]
    assert not (tmp_path / "pwned").exists()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[origin.Origin, Path]]:
    """A small MovieLens folder, and where to import it to."""
    source = tmp_path / "ml"
    source.mkdir()
    ratings = "".join(f"{user},1,4.0,96498270{user}\n" for user in range(10))
    (source / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{ratings}")
    (source / "movies.csv").write_text("movieId,title,genres\n1,A (1999),X\n")
    yield origin.opened(source), tmp_path / "out"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(durable.TEMPORARY)]


def test_every_refused_row_is_named_and_too_many_refuse_the_file(
    shop: tuple[origin.Origin, Path],
) -> None:
    found, out = shop
    ratings = found.path / "ratings.csv"
    ratings.write_text(f"{ratings.read_text()}x,1,4,964982703\n1,1,-2,964982703\n1,1,3,yesterday\n")
    movies = found.path / "movies.csv"
    movies.write_text(movies.read_text() + "1,Again (1999),X\n2\n")
    with pytest.raises(InputFault) as caught:
        importing.carry_out(movielens.plan(found), found, out, "movielens", DataSettings())
    assert "3 of 13 rows" in str(caught.value)
    assert "ratings.csv:12:userId: is not a whole number ('x')" in str(caught.value)
    assert not out.exists()
    generous = DataSettings(quarantine_fail=0.9)
    made = importing.carry_out(movielens.plan(found), found, out, "movielens", generous)
    assert [(a.file, a.read, a.kept, a.reasons) for a in made.accounts] == [
        ("ratings.csv", 13, 10, {"userId is not a whole number": 1,
         "rating is not a number of 0 or more": 1, "timestamp is not a time": 1}),
        ("movies.csv", 3, 1, {"too few fields": 1, "item_id stands in an earlier row": 1}),
    ]  # fmt: skip


def test_a_killed_import_leaves_nothing_and_the_next_one_cleans_up(
    shop: tuple[origin.Origin, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out = shop
    plan = movielens.plan(found)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(folder, "write_settings", killed)
        with pytest.raises(KeyboardInterrupt):
            importing.carry_out(plan, found, out, "movielens", DataSettings())
    assert not out.exists()
    stale = out.with_name(f"{durable.TEMPORARY}out")
    (stale / "features").mkdir(parents=True)
    (stale / "users.parquet").write_bytes(b"half")
    with durable.exclusive(stale), pytest.raises(LockFault):
        importing.carry_out(plan, found, out, "movielens", DataSettings())
    importing.carry_out(plan, found, out, "movielens", DataSettings())
    assert sorted(path.name for path in out.iterdir()) == [
        "interactions.parquet", "items.parquet", "settings.toml",
    ]  # fmt: skip
    with pytest.raises(InputFault, match="exists already"):
        importing.carry_out(plan, found, out, "movielens", DataSettings())


def test_parts_of_one_table_must_agree(tmp_path: Path) -> None:
    one = {"u": [1], "i": [1], "t": [1_600_000_000]}
    pl.DataFrame(one).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({**one, "i": ["x"]}).write_parquet(tmp_path / "2.parquet")
    made = (
        columns.text_id("user_id", "u"), columns.text_id("item_id", "i"), columns.moment("t", "s"),
    )  # fmt: skip
    found = origin.opened(tmp_path)
    tables = tuple(Table("interactions", name, ParquetFile(), made) for name in found.names)
    with pytest.raises(InputFault, match="'item_id' is String here and Int64 before"):
        importing.carry_out(Plan(tables), found, tmp_path / "out", "mapping", DataSettings())


def test_one_folder_around_the_files_is_passed_through(tmp_path: Path) -> None:
    (tmp_path / "unpacked" / "ml-1m").mkdir(parents=True)
    (tmp_path / "unpacked" / "ml-1m" / "ratings.dat").write_text("1::1::1::1\n")
    assert origin.opened(tmp_path / "unpacked").names == ("ratings.dat",)
    with pytest.raises(InputFault, match="neither a folder nor a zip"):
        origin.opened(tmp_path / "nowhere")


def test_an_hour_that_stands_twice_is_refused_as_such() -> None:
    made = columns.moment("t", zone="Europe/Berlin")
    frame = pl.DataFrame({"t": ["2026-10-25T02:05:09", "2026-10-25T03:05:09"]})
    assert made.value(frame).is_null().to_list() == [True, False]
    assert "a change of clocks" in made.refused
    assert columns.moment("t").refused == "is not a time"

"""Every bad log of reliability.md sections 2.1 to 2.3, with what becomes of it."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data import interactions
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, ResourceFault

NOW = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
TIME = "2026-08-01T10:03:11Z"
HEAD = "user_id,item_id,timestamp\n"
ROW = f"u1,i1,{TIME}\n"
EPOCHS = "user_id,item_id,timestamp\nu1,i1,1785578591\nu2,i1,1785578592\n"
LOOSE = {"quarantine_fail": 1.0, "buckets": 2}
BERLIN = {**LOOSE, "timezone": "Europe/Berlin"}


def ingest(folder: Path, **settings: object) -> interactions.Ingested:
    """Ingests `folder` and checks that every row went somewhere."""
    chosen = DataSettings.model_validate({"folder": str(folder), **LOOSE, **settings})
    result = interactions.ingest(chosen, None, NOW)
    accounting = result.account.accounting
    for account in accounting.values():
        fates = ("kept", "quarantined", "duplicate", "filtered")
        assert account["read"] == sum(account[fate] for fate in fates)
    assert result.frame.height == sum(entry["kept"] for entry in accounting.values())
    return result


# case, file, settings, kept rows, quarantined (row, code), duplicates, blank lines
ACCEPTED = [
    ("A01", f"{HEAD}007,i1,{TIME}\n7,i1,{TIME}\n", {}, 2, [], 0, 0),
    ("A02", f"{HEAD}{ROW}c,d", {}, 1, [(3, "torn_row")], 0, 0),
    ("A02 whole last row", f"{HEAD}{ROW[:-1]}", {}, 1, [], 0, 0),
    ("A03", f"{HEAD}u2,i2\n{ROW}", {}, 1, [(2, "short_row")], 0, 0),
    ("A04", f"{HEAD}{ROW}u2,i2,{TIME},\n", {}, 1, [(3, "long_row")], 0, 0),
    ("A06 stated", ROW, {"no_header": True, "columns": ["user_id", "item_id", "timestamp"]},
     1, [], 0, 0),
    ("A08 stated", (HEAD + ROW).replace(",", ";"), {"delimiter": ";"}, 1, [], 0, 0),
    ("A11", "\ufeff" + HEAD + ROW, {}, 1, [], 0, 0),
    ("A12", f"{HEAD}u1,i1,xx\n{ROW}", {}, 1, [(2, "bad_timestamp")], 0, 0),
    ("A14 skipped", f"{HEAD}u1,i1,2026-03-29T02:30:00\n{ROW}", BERLIN,
     1, [(2, "timestamp_shift")], 0, 0),
    ("A14 repeated", f"{HEAD}u1,i1,2025-10-26 02:30:00\n{ROW}", BERLIN,
     1, [(2, "timestamp_shift")], 0, 0),
    ("A14 one without zone", f"{HEAD}u1,i1,2026-03-29T02:30:00\n{ROW}", {},
     1, [(2, "timestamp_zone")], 0, 0),
    ("A15", f"{HEAD}NA,null,{TIME}\n,i1,{TIME}\n\"\",i1,{TIME}\nu1,  ,{TIME}\n", {},
     1, [(3, "empty_id"), (4, "empty_id"), (5, "empty_id")], 0, 0),
    ("A16 inch sign", f"{HEAD}u1,17\" tv,{TIME}\n", {}, 1, [], 0, 0),
    ("A17", f"{HEAD}\n{ROW}  \n\n,,\n", {}, 1, [(6, "empty_id")], 0, 3),
    ("A18", f"{HEAD}\"u\n1\",i1,{TIME}\nu\t1,i1,{TIME}\nu1,i\0,{TIME}\nu1,i\u202e,{TIME}\n{ROW}",
     {}, 1, [(row, "control_character") for row in (2, 3, 4, 5)], 0, 0),
    ("A20 header only", HEAD, {}, 0, [], 0, 0),
    ("A22", f"{HEAD}{ROW}{ROW}", {}, 1, [], 1, 0),
    ("A23", f"{HEAD}u1,i2,2026-08-02T00:00:00Z\n{ROW}", {}, 2, [], 0, 0),
    ("A24", f"{HEAD[:-1]},weight\n" + "".join(
        f"u1,i{number},{TIME},{text}\n"
        for number, text in enumerate(['nan', 'inf', '"5,0"', '-1', '1e999', '4.5', ''])),
     {}, 2, [(row, "bad_weight") for row in (2, 3, 4, 5, 6)], 0, 0),
    ("A25", f"{EPOCHS}u1,i1,12345678901234567890\n", {"timestamp_unit": "s"},
     2, [(4, "integer_range")], 0, 0),
    ("time to come", f"{HEAD}u1,i1,2027-01-01T00:00:00Z\n{ROW}u2,i1,{TIME}\n", {},
     2, [(2, "timestamp_range")], 0, 0),
    ("unknown event", f"{HEAD[:-1]},event\nu1,i1,{TIME},veiw\nu1,i1,{TIME},cart\n", {},
     1, [(2, "unknown_event")], 0, 0),
]  # fmt: skip

# case, file bytes, settings, what the message must say
REFUSED = [
    ("A05", f"user_id,itemid,timestamp\n{ROW}", {}, ["column item_id is missing", "'itemid'"]),
    ("A06", ROW * 2, {}, ["row 1 looks like data", "no_header", "interactions.csv:1"]),
    ("A07", f"user_id,item_id,timestamp,item_id\n{ROW}", {}, ["stands twice", "item_id"]),
    ("A08", (HEAD + ROW).replace(",", ";"), {}, ["semicolon", "data.delimiter = ';'"]),
    ("A08 tab", (HEAD + ROW).replace(",", "\t"), {}, ["tab", "data.delimiter"]),
    ("A09", (HEAD + "J\xf6rg,i1,x\n").encode("latin-1"), {}, ["byte 27 (row 2)", "data.encoding"]),
    ("A10", (HEAD + ROW).encode("utf-16"), {}, ["UTF-16"]),
    ("A10 no mark", (HEAD + ROW).encode("utf-16-le"), {}, ["UTF-16"]),
    ("A13", EPOCHS, {"timestamp_unit": "ms"}, ["median 1970-01-21", "timestamp_unit = 's'"]),
    ("A13 unstated", EPOCHS, {}, ["unit is not stated", "timestamp_unit = 's'"]),
    ("A14 unstated", f"{HEAD}u1,i1,2026-08-01T10:00:00\n", {}, ["no zone", "data.timezone"]),
    ("A16", f'{HEAD}{ROW}u1,"i1,{TIME}\n{ROW}', {}, ["opens in row 3 is not closed"]),
    ("A16 twice", f'{HEAD}u1,"i1,x\n{ROW}u1,"i2,x\n', {}, ["opens in row 2 closes in the middle"]),
    ("A19", (HEAD + ROW).replace("\n", "\r"), {}, ["lines end in CR only"]),
    ("A20", "", {}, ["0 bytes"]),
    ("too large", HEAD + ROW, {"max_input_bytes": 10}, ["too large", "max_input_bytes"]),
    ("gzip as csv", gzip.compress((HEAD + ROW).encode()), {}, ["looks like a gzip file"]),
    ("budget", f"{HEAD}{ROW}u2,i2\n", {"quarantine_fail": 0.01},
     ["1 of 2 rows (50.00%)", "short_row 1", "interactions.csv:3:"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "settings", "kept", "bad", "duplicates", "blank"),
    [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED],
)  # fmt: skip
def test_csv_rows_are_accounted_for(
    tmp_path: Path, text: str, settings: dict[str, object], kept: int,
    bad: list[tuple[int, str]], duplicates: int, blank: int,
) -> None:  # fmt: skip
    path = tmp_path / "interactions.csv"
    path.write_bytes(text.encode())
    result = ingest(tmp_path, **settings)
    account = result.account.accounting["interactions.csv"]
    assert account["kept"] == kept
    assert list(result.account.quarantine.select("row", "code").iter_rows()) == bad
    assert (account["duplicate"], account["blank"]) == (duplicates, blank)
    for row, offset, raw in result.account.quarantine.select(
        "row", "byte_offset", "raw"
    ).iter_rows():
        assert raw, row
        assert path.read_bytes()[offset - 1 : offset] == b"\n"


@pytest.mark.parametrize(
    ("content", "settings", "says"),
    [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED],
)  # fmt: skip
def test_csv_files_are_refused(
    tmp_path: Path, content: str | bytes, settings: dict[str, object], says: list[str]
) -> None:
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "interactions.csv").write_bytes(data)
    with pytest.raises(InputFault) as caught:
        ingest(tmp_path, **settings)
    assert all(text in str(caught.value) for text in says), str(caught.value)
    assert "interactions" in str(caught.value)


def test_a01_ids_with_leading_zeros_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(f"{HEAD}007,i1,{TIME}\n7,i1,{TIME}\n")
    assert ingest(tmp_path).frame["user_id"].to_list() == ["007", "7"]


def test_a02_a_cut_file_warns_and_a_manifest_refuses_it(tmp_path: Path) -> None:
    path = tmp_path / "interactions.csv"
    path.write_text(f"{HEAD}{ROW}c,d")
    assert "may be truncated" in " ".join(ingest(tmp_path).account.warnings)
    entry = {"interactions.csv": {"bytes": path.stat().st_size + 20}}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": entry}))
    with pytest.raises(InputFault, match="producer's manifest"):
        ingest(tmp_path)


def test_a20_no_events_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(HEAD)
    result = ingest(tmp_path)
    assert result.frame.is_empty()
    assert "0 events" in result.account.warnings[0]


def test_a21_a_decompression_bomb_is_refused_early(tmp_path: Path) -> None:
    # 20 MB of one row: zlib packs it about 300 : 1.
    content = (HEAD + ROW * 800_000).encode()
    (tmp_path / "interactions.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InputFault, match="unpacks to far more"):
        ingest(tmp_path)
    with pytest.raises(InputFault, match="too large"):
        ingest(tmp_path, max_ratio=1e6, max_input_bytes=2**22)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compressed_logs_are_read_and_cut_ones_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"interactions.csv.{'gz' if kind == 'gzip' else 'zst'}"
    with pa.CompressedOutputStream(str(path), kind) as stream:
        stream.write((HEAD + ROW).encode())
    assert ingest(tmp_path).frame.height == 1
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(InputFault, match="damaged or truncated"):
        ingest(tmp_path)


def test_a23_rows_are_sorted_and_ties_keep_their_order(tmp_path: Path) -> None:
    rows = f"u1,b,{TIME}\nu1,a,{TIME}\nu0,z,2026-08-02T00:00:00Z\nu0,y,{TIME}\n"
    (tmp_path / "interactions.csv").write_text(HEAD + rows)
    assert ingest(tmp_path).frame["item_id"].to_list() == ["y", "z", "b", "a"]


def line(**values: object) -> str:
    """One JSON line of a good event, changed by `values`."""
    return json.dumps({"user_id": "u1", "item_id": "i1", "timestamp": TIME, **values}) + "\n"


GOOD = line()
JSONL = [
    ("B01", GOOD + '{"user_id": "u2", "it', {}, 1, [(2, "torn_row")], 0),
    ("B02", f"{{nonsense}}\n{GOOD}", {}, 1, [(1, "bad_json")], 0),
    ("B04", GOOD[:-2] + ', "user_id": "u9"}\n' + GOOD, {}, 1, [(1, "duplicate_key")], 0),
    ("B06", line(user_id=9007199254740993) + line(user_id=9007199254740992)
     + line(user_id=3.5), {}, 2, [(3, "id_type")], 0),
    ("B06 digits", GOOD.replace('"u1"', "12345678901234567890"), {}, 1, [], 0),
    ("B07", line(weight=float("nan")) + line(weight=2), {}, 1, [(1, "bad_json")], 0),
    ("B08", '{"a":' + "[" * 20_000 + "]" * 20_000 + "}\n" + GOOD, {}, 1, [(1, "too_deep")], 0),
    ("B09", f"\n{GOOD}null\n\n", {}, 1, [(3, "not_an_object")], 2),
    ("list id", line(item_id=["i1"]) + GOOD, {}, 1, [(1, "id_type")], 0),
    ("list event", line(event=["view"]) + GOOD + line(user_id="u2", event="cart"), {}, 1,
     [(1, "not_a_value"), (2, "unknown_event")], 0),
    ("null id", line(item_id=None) + GOOD, {}, 1, [(1, "empty_id")], 0),
    ("surrogate", GOOD.replace("u1", "\\ud800") + GOOD, {}, 1, [(1, "bad_unicode")], 0),
    ("5,0", line(weight="5,0") + line(weight=2), {}, 1, [(1, "bad_weight")], 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "settings", "kept", "bad", "blank"),
    [case[1:] for case in JSONL], ids=[case[0] for case in JSONL],
)  # fmt: skip
def test_jsonl_rows_are_accounted_for(
    tmp_path: Path, text: str, settings: dict[str, object], kept: int,
    bad: list[tuple[int, str]], blank: int,
) -> None:  # fmt: skip
    (tmp_path / "interactions.jsonl").write_text(text)
    result = ingest(tmp_path, **settings)
    assert result.account.accounting["interactions.jsonl"]["kept"] == kept
    assert list(result.account.quarantine.select("row", "code").iter_rows()) == bad
    assert result.account.accounting["interactions.jsonl"]["blank"] == blank


def test_b03_a_json_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "interactions.jsonl").write_text(f"[{GOOD}]")
    with pytest.raises(InputFault, match="looks like a JSON array"):
        ingest(tmp_path)


def test_b05_a_late_key_is_seen_and_named_once(tmp_path: Path) -> None:
    lines = [line(user_id=f"u{number}") for number in range(300)]
    lines += [line(user_id=f"v{number}", page="home", event="cart") for number in range(2)]
    (tmp_path / "interactions.jsonl").write_text("".join(lines))
    with pytest.raises(InputFault, match="unknown_event 300"):
        ingest(tmp_path, quarantine_fail=0.5)
    result = ingest(tmp_path, extra_columns=["page"])
    assert result.frame["page"].to_list() == ["home", "home"]
    assert "page" in " ".join(ingest(tmp_path).account.warnings)


def test_b06_ids_keep_every_digit(tmp_path: Path) -> None:
    ids = [9007199254740992, 9007199254740993]
    (tmp_path / "interactions.jsonl").write_text("".join(line(user_id=one) for one in ids))
    result = ingest(tmp_path)
    assert result.frame["user_id"].to_list() == [str(one) for one in ids]
    assert result.account.integer_ids == {"user_id"}


def events(**columns: object) -> pl.DataFrame:
    """Two good events, with columns exchanged."""
    times = pl.Series([datetime(2026, 8, 1, tzinfo=UTC)] * 2, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {"user_id": ["u1", "u2"], "item_id": ["i1", "i2"], "timestamp": times, **columns}
    )


@pytest.mark.parametrize("cut", [1, 400])
def test_c01_truncated_parquet(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "interactions.parquet"
    events().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputFault, match=r"truncated(.|\n)*interactions.parquet"):
        ingest(tmp_path)


def test_c02_a_flipped_bit_is_refused_where_the_manifest_has_a_hash(tmp_path: Path) -> None:
    from recsys import durable

    path = tmp_path / "interactions.parquet"
    events().write_parquet(path)
    assert ingest(tmp_path).account.accounting["interactions.parquet"]["verified"] == 0
    entry = {"interactions.parquet": {"sha256": durable.sha256(path)}}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": entry}))
    assert ingest(tmp_path).account.accounting["interactions.parquet"]["verified"] == 1
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputFault, match="sha256"):
        ingest(tmp_path)


def test_c03_csv_named_parquet(tmp_path: Path) -> None:
    (tmp_path / "interactions.parquet").write_text(HEAD + ROW)
    with pytest.raises(InputFault, match="looks like a CSV"):
        ingest(tmp_path)


def test_c04_no_flip_in_the_footer_escapes_as_another_exception(tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    pq.write_table(events().to_arrow(), path, write_page_checksum=True)
    good = path.read_bytes()
    for position in range(4, len(good) - 4, 7):
        data = bytearray(good)
        data[position] ^= 1 << (position % 8)
        path.write_bytes(data)
        try:
            ingest(tmp_path)
        except InputFault as fault:
            assert "interactions" in str(fault)  # noqa: PT017


def test_c04_panics_become_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.data import parquet_files

    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("index out of bounds")

    events().write_parquet(tmp_path / "interactions.parquet")
    monkeypatch.setattr(parquet_files, "_stretches", panic)
    with pytest.raises(InputFault, match="PanicException"):
        ingest(tmp_path)


def parts(folder: Path, *frames: pl.DataFrame) -> None:
    """Writes `frames` as the parts of a table."""
    (folder / "interactions").mkdir()
    for number, frame in enumerate(frames):
        frame.write_parquet(folder / "interactions" / f"part-{number}.parquet")


@pytest.mark.parametrize(
    "other",
    [events(event="view"), events(timestamp=[1785578591, 1785578592])],
    ids=["one column more", "another type"],
)
def test_c05_parts_with_different_schemas(tmp_path: Path, other: pl.DataFrame) -> None:
    parts(tmp_path, events(), other)
    with pytest.raises(InputFault) as caught:
        ingest(tmp_path, timestamp_unit="s")
    assert "part-0.parquet" in str(caught.value)
    assert "part-1.parquet" in str(caught.value)
    assert "'event'" in str(caught.value) or "'timestamp'" in str(caught.value)


def test_c06_ids_of_two_types(tmp_path: Path) -> None:
    parts(tmp_path, events(user_id=[7, 8]), events(user_id=["7", "007"], item_id=["i1", "i1"]))
    result = ingest(tmp_path)
    assert result.frame["user_id"].to_list() == ["007", "7", "8"]  # 7 on i1 stands twice
    assert "is a number in interactions/part-0.parquet" in " ".join(result.account.warnings)
    assert not result.account.integer_ids


@pytest.mark.parametrize(
    "ids", [[["a"], ["b"]], [{"a": 1}, {"a": 2}], [1.0, 2.0], [True, False], [b"a", b"b"]],
    ids=["list", "struct", "float", "bool", "bytes"],
)  # fmt: skip
def test_c07_columns_that_are_no_ids(tmp_path: Path, ids: list[object]) -> None:
    events(item_id=ids).write_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(InputFault, match="item_id holds no ids"):
        ingest(tmp_path)


def test_c07_categorical_ids_are_texts(tmp_path: Path) -> None:
    ids = pl.Series(["a", "b"], dtype=pl.Categorical)
    events(item_id=ids).write_parquet(tmp_path / "interactions.parquet")
    assert ingest(tmp_path).frame["item_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_c08_units_and_zones_of_datetimes(tmp_path: Path, unit: str) -> None:
    local = pl.Series([datetime(2026, 8, 1, 12), datetime(2026, 3, 29, 2, 30)])
    frame = events(timestamp=local.cast(pl.Datetime(unit)))  # type: ignore[arg-type]
    frame.write_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(InputFault, match="no zone"):
        ingest(tmp_path)
    result = ingest(tmp_path, timezone="Europe/Berlin")
    assert result.frame["timestamp"].to_list() == [datetime(2026, 8, 1, 10, tzinfo=UTC)]
    assert result.account.quarantine["code"].to_list() == ["timestamp_shift"]


def test_c09_parquet_without_rows(tmp_path: Path) -> None:
    events().clear().write_parquet(tmp_path / "interactions.parquet")
    assert "0 events" in ingest(tmp_path).account.warnings[0]


def test_nested_extra_columns_are_refused(tmp_path: Path) -> None:
    events(page=[["a"], ["b"]]).write_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(InputFault, match="page holds no plain values"):
        ingest(tmp_path, extra_columns=["page"])


@pytest.mark.parametrize("name", ["interactions.csv", "interactions.parquet"])
def test_a_file_that_may_not_be_read_is_a_resource_fault(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events().write_parquet(tmp_path / name)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ResourceFault, match="Permission denied"):
        ingest(tmp_path)

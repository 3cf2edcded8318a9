"""Reads a JSONL file: one object a line, ids from the number's own digits. Called by `tables`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data import faults, schemas, sources
from recsys.data.raw import RawTable, label, ours
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

MOST_KEYS = 1000
NO_IDS = (bool, float, list, dict)
Bad = tuple[str, str, str | None]  # column, code, value
Line = tuple[int, int, dict[str, Any]]  # number, byte offset, values


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that stands twice is raised as a KeyError."""
    values = dict(found)
    if len(values) != len(found):
        names = [name for name, _ in found]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return values


# Made once: a decoder a line would take most of the time.
DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)


def read(
    path: Path, settings: DataSettings, required: Sequence[str], wanted: Sequence[str] | None
) -> RawTable:
    """Reads one JSONL file. An absent key is an absent value; a key may appear in any line.

    Raises:
        InputFault: the file is a JSON array, or no line has a required key.
    """
    file = label(path, settings)
    data = sources.load(path, settings)
    if data.lstrip()[:1] == b"[":
        raise InputFault(
            "the file looks like a JSON array, not like lines",
            value=data[:60].decode("utf-8", "replace"),
            where=f"{file}:1", fix="write one object a line: jq -c '.[]' FILE > FILE.jsonl",
        )  # fmt: skip
    good, bad, blank = _lines(data, settings)
    torn = bool(bad) and bad[-1]["code"] == "torn_row"
    frame, unread, integers = _frame(good, required, wanted, file)
    placed = settings.encoding == "utf-8"
    return RawTable(
        file=file,
        frame=frame if placed else frame.with_columns(byte_offset=pl.lit(None, pl.Int64)),
        quarantine=faults.quarantine(pl.DataFrame(bad, schema=faults.SCHEMA), file),
        blank=blank,
        unread=unread,
        integer_ids=integers,
        warnings=(f"{file}: the last row is cut: the file may be truncated",) if torn else (),
    )


def _lines(data: bytes, settings: DataSettings) -> tuple[list[Line], list[dict[str, Any]], int]:
    """Objects of the good lines, quarantine rows of the bad ones, and how many are blank."""
    good: list[Line] = []
    bad: list[dict[str, Any]] = []
    blank, offset, known = 0, 0, ours(settings)
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            values, fault = _object(line, known)
            if fault is None:
                good.append((number, offset, values))
            else:
                bad.append(_refused(number, offset, line, fault))
        elif number < len(lines):
            blank += 1
        offset += len(line) + 1
    if bad and bad[-1]["row"] == len(lines) and bad[-1]["code"] == "bad_json":
        bad[-1]["code"] = "torn_row"
    return good, bad, blank


def _refused(number: int, offset: int, line: bytes, fault: Bad) -> dict[str, Any]:
    column, code, value = fault
    raw = line[: faults.RAW_CHARACTERS * 4].decode("utf-8", "replace")
    return {
        "file": None, "row": number, "byte_offset": offset, "column": column, "code": code,
        "value": value, "raw": raw,
    }  # fmt: skip


def _object(  # noqa: PLR0911
    line: bytes, known: dict[str, str]
) -> tuple[dict[str, Any], Bad | None]:
    """The values of a line by our names, ids as texts; or why it has none."""
    try:
        parsed = DECODER.decode(line.decode("utf-8"))
        if b"\\ud" in line or b"\\uD" in line:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except KeyError as error:
        return {}, (str(error.args[0]), "duplicate_key", None)
    except RecursionError:
        return {}, ("", "too_deep", None)
    except UnicodeEncodeError:
        return {}, ("", "bad_unicode", None)
    except ValueError as error:
        return {}, ("", "bad_json", str(error))
    if not isinstance(parsed, dict):
        return {}, ("", "not_an_object", str(parsed))
    values: dict[str, Any] = {known.get(name, str(name)): value for name, value in parsed.items()}
    if len(values) != len(parsed):
        return {}, ("", "duplicate_key", None)
    for name in schemas.IDS:
        if type(values.get(name)) in NO_IDS:
            return {}, (name, "id_type", json.dumps(values[name]))
    for name in ("timestamp", "event", "weight"):
        if isinstance(values.get(name), list):
            return {}, (name, "not_a_value", json.dumps(values[name]))
    return values, None


def _frame(
    good: list[Line],
    required: Sequence[str],
    wanted: Sequence[str] | None,
    file: str,
) -> tuple[pl.DataFrame, tuple[str, ...], frozenset[str]]:
    names = list(dict.fromkeys(name for _, _, values in good for name in values))
    if len(names) > MOST_KEYS:
        raise InputFault(
            f"{len(names):,} different keys", value=", ".join(names[:5]), where=file,
            fix=f"write the same keys in every line (at most {MOST_KEYS:,})",
        )  # fmt: skip
    chosen, unread = schemas.choose(names if good else required, wanted, file)
    if good:
        schemas.check_names(chosen, required, file)
    columns = {name: _column(name, [values.get(name) for _, _, values in good]) for name in chosen}
    integers = frozenset(
        name
        for name in schemas.IDS
        if name in chosen
        and good
        and all(isinstance(values.get(name), int | None) for _, _, values in good)
    )
    places = {
        "row": pl.Series([row for row, _, _ in good], dtype=pl.Int64),
        "byte_offset": pl.Series([offset for _, offset, _ in good], dtype=pl.Int64),
    }
    return pl.DataFrame({**places, **columns}), unread, integers


def _column(name: str, values: list[Any]) -> pl.Series:  # noqa: PLR0911
    """One column: lists of texts if any value is a list; else truth values, numbers or texts."""
    kinds = {type(value) for value in values if value is not None}
    if name in schemas.IDS or not kinds:
        return pl.Series([_text(value) for value in values], dtype=pl.String)
    if list in kinds:
        return pl.Series([_texts(value) for value in values], dtype=pl.List(pl.String))
    if kinds == {bool}:
        return pl.Series(values, dtype=pl.Boolean)
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pl.Series(values, dtype=pl.Int64)
    if kinds == {float}:
        return pl.Series(values, dtype=pl.Float64)
    if kinds == {int, float} and all(abs(value or 0) < 2**53 for value in values):
        return pl.Series([None if v is None else float(v) for v in values], dtype=pl.Float64)
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _texts(value: Any) -> list[str | None] | None:
    if value is None:
        return None
    return [_text(part) for part in value] if isinstance(value, list) else [_text(value)]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value) if type(value) is int else json.dumps(value, ensure_ascii=False)

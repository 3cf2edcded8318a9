"""The first row of a CSV file: header, delimiter and line ends checked before anything is read."""

import csv
import re
from collections.abc import Sequence

from recsys.data import schemas
from recsys.data.raw import ours
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
DATA = re.compile(r"[+-]?\d+([.,]\d+)?|\d{4}-\d{2}-\d{2}.*")


def check_line_ends(data: bytes, file: str) -> None:
    """Refuses a file whose lines end in CR only: most readers take it for one line.

    Raises:
        InputFault: there are CRs and no LF.
    """
    if b"\n" not in data and b"\r" in data.rstrip(b"\r"):
        raise InputFault(
            "lines end in CR only (old Mac line ends)", where=file,
            fix="convert the line ends: tr '\\r' '\\n'",
        )  # fmt: skip


def names(head: bytes, settings: DataSettings, required: Sequence[str], file: str) -> list[str]:
    """Our names of the columns, from the header or, without one, from the settings.

    Raises:
        InputFault: another delimiter, no header, a column missing, renamed or twice.
    """
    first = _fields(head, settings.delimiter)
    if settings.no_header:
        if len(first) != len(settings.columns):
            raise InputFault(
                f"row 1 has {len(first)} fields, data.columns names {len(settings.columns)}",
                value=", ".join(first), where=f"{file}:1", fix="name every field in data.columns",
            )  # fmt: skip
        found = list(settings.columns)
    else:
        found = first
    found = _ours(found, settings)
    if not settings.no_header:
        lacking = [name for name in required if name not in found]
        if lacking and any(DATA.fullmatch(name.strip()) for name in first):
            raise InputFault(
                "row 1 looks like data: the file has no header", value=", ".join(first),
                where=f"{file}:1", fix="set data.no_header = true and data.columns = [...]",
            )  # fmt: skip
    schemas.check_names(found, required, file)
    return found


def check_delimiter(
    head: bytes, settings: DataSettings, required: Sequence[str], file: str
) -> None:
    """Refuses a first line `head` that makes more sense with another delimiter.

    Raises:
        InputFault: names the delimiter that would do.
    """
    found = _ours(_fields(head, settings.delimiter), settings)
    if len(found) > 1 and (settings.no_header or all(name in found for name in required)):
        return
    for delimiter, word in DELIMITERS.items():
        fields = _ours(_fields(head, delimiter), settings)
        complete = settings.no_header or all(name in fields for name in required)
        if (
            delimiter != settings.delimiter
            and len(fields) > len(found)
            and (complete or len(found) == 1)
        ):
            raise InputFault(
                f"fields seem to be separated by a {word}, not by {settings.delimiter!r}",
                value=head[:80].decode("utf-8", "replace"), where=f"{file}:1",
                fix=f"set data.delimiter = {delimiter!r}",
            )  # fmt: skip


def _fields(head: bytes, delimiter: str) -> list[str]:
    text = head.decode("utf-8").rstrip("\r\n")
    return next(csv.reader([text], delimiter=delimiter), [])


def _ours(fields: list[str], settings: DataSettings) -> list[str]:
    known = ours(settings)
    return [known.get(name, name) for name in fields]

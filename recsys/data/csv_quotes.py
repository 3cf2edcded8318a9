"""Where the rows of a CSV file start, with quoted line breaks and unclosed quotes found."""

import re

import numpy as np
import numpy.typing as npt

from recsys.errors import InputFault

Offsets = npt.NDArray[np.int64]
NEWLINE, RETURN, QUOTE = 10, 13, 34


def row_starts(data: bytes, delimiter: str, file: str) -> Offsets:
    """Byte offsets at which rows start, i64 [rows]; a break inside quotes starts none.

    Raises:
        InputFault: a quote is not closed, or closes in the middle of a field (the row is named).
    """
    view = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(view == NEWLINE)
    if b"\r" in data:
        returns = np.flatnonzero(view == RETURN)
        lone = returns[view[np.minimum(returns + 1, len(view) - 1)] != NEWLINE]
        breaks = np.sort(np.concatenate([breaks, lone]))
    if b'"' in data:
        quotes = _quotes(data, view, delimiter, file)
        # A break after an odd number of quotes lies inside a quoted field.
        breaks = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
    starts = np.concatenate([[0], breaks + 1])
    return starts[starts < len(data)].astype(np.int64)


def _quotes(data: bytes, view: npt.NDArray[np.uint8], delimiter: str, file: str) -> Offsets:
    """Offsets of the quotes that open and close fields, in turn."""
    quotes = np.flatnonzero(view == QUOTE)
    around = (ord(delimiter), NEWLINE, RETURN, QUOTE)
    before = np.where(quotes > 0, view[quotes - 1], NEWLINE)
    after = np.where(quotes + 1 < len(view), view[np.minimum(quotes + 1, len(view) - 1)], NEWLINE)
    opening = np.isin(before[0::2], around)
    closing = np.isin(after[1::2], around)
    if len(quotes) % 2 == 0 and opening.all() and closing.all():
        return quotes
    return _scanned(data, delimiter, file)


def _scanned(data: bytes, delimiter: str, file: str) -> Offsets:
    """As `_quotes`, field by field: a quote inside an unquoted field is a letter like any other."""
    mark = re.escape(delimiter.encode())
    field = re.compile(
        rb'"(?:[^"]++|"")*+"|[^"' + mark + rb"\r\n][^" + mark + rb"\r\n]*|[\r\n]+|" + mark
    )
    found: list[int] = []
    position, row = 0, 1
    while position < len(data):
        match = field.match(data, position)
        if match is None:
            raise _unclosed(data, position, row, "is not closed", file)
        position, start = match.end(), match.start()
        if data[start] == QUOTE:
            if position < len(data) and data[position : position + 1] not in (
                delimiter.encode(), b"\r", b"\n",
            ):  # fmt: skip
                raise _unclosed(data, start, row, "closes in the middle of a field", file)
            found += [start, position - 1]
        elif data[start] in (NEWLINE, RETURN):
            row += len(match.group().replace(b"\r\n", b"\n"))
    return np.array(found, dtype=np.int64)


def _unclosed(data: bytes, start: int, row: int, what: str, file: str) -> InputFault:
    return InputFault(
        f"the quote that opens in row {row} {what}",
        value=data[start : start + 60].decode("utf-8", "replace"),
        where=f"{file}:{row} (byte {start})",
        fix="close the quote; a quote inside a quoted field is written twice",
    )

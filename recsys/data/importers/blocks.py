"""Cuts a file into blocks that end where a row ends: memory is that of one block."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from recsys.data.importers.origin import Origin
from recsys.errors import InputFault

BLOCK = 8 * 2**20
LONGEST_ROW = 64 * 2**20
MARK = b"\xef\xbb\xbf"


def blocks(origin: Origin, file: str, *, quoted: bool) -> Iterator[bytes]:
    """Pieces of a file that end where a row ends.

    Args:
        origin: where it lies.
        file: its name.
        quoted: whether line ends inside double quotes end no row.

    Raises:
        InputFault: damaged, or a row that never ends.
    """
    rest = b""
    for number, piece in enumerate(origin.pieces(file, BLOCK)):
        data = rest + (piece.removeprefix(MARK) if number == 0 else piece)
        end = _last_end(data) if quoted else data.rfind(b"\n") + 1
        if not end and len(data) > LONGEST_ROW:
            raise InputFault(
                f"a row is longer than {LONGEST_ROW:,} bytes: a quote that never closes, or no "
                "table",
                value=repr(data[:40]), where=file, fix="look at the file; download it again",
            )  # fmt: skip
        if end:
            yield data[:end]
        rest = data[end:]
    if rest:
        yield rest


def _last_end(data: bytes) -> int:
    """Where the last row ends whose line end stands outside quotes; 0 without one."""
    found = ends(data)
    return int(found[-1]) + 1 if len(found) else 0


def ends(data: bytes) -> npt.NDArray[np.int64]:
    """Offsets of the line ends outside quotes."""
    view = np.frombuffer(data, dtype=np.uint8)
    newlines = np.flatnonzero(view == 10)
    quotes = np.flatnonzero(view == 34)
    outside: npt.NDArray[np.int64] = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    return outside

"""The bytes of a CSV or JSONL file: decompressed within limits, valid UTF-8, not something else."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from recsys.data.raw import label
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

CHUNK = 4 * 2**20
FREE_BYTES = 2**20  # a small file may have any ratio
KINDS = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"PK\x03\x04": "a zip or Excel file",
    b"SQLite format 3": "a SQLite database",
    b"ARROW1": "an Arrow file",
    b"\x89PNG": "a PNG picture",
    b"%PDF": "a PDF document",
}
UTF8_MARK = b"\xef\xbb\xbf"


def load(path: Path, settings: DataSettings) -> bytes:
    """The text of `path` as UTF-8 bytes without a byte order mark.

    Raises:
        InputFault: empty, too large, a decompression bomb, damaged, another kind of file, or not
            in `settings.encoding` (the byte and row are named).
    """
    file = label(path, settings)
    try:
        data = b"".join(_limited(path, settings, file))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(file, str(error)) from None
    except OSError as error:
        if error.errno is None:  # pyarrow reports damage as an OSError without a number
            raise _damaged(file, str(error)) from None
        raise
    if not data:
        raise InputFault("the file is empty (0 bytes)", where=file, fix="upload it again")
    kind = looks_like(data)
    if kind:
        raise InputFault(
            f"the file looks like {kind}", where=file, fix="give it the ending of what it is"
        )
    return _utf8(data, settings, file)


def looks_like(data: bytes) -> str | None:
    """What a file that starts with `data` is by its first bytes; None where they say nothing."""
    return next((kind for magic, kind in KINDS.items() if data.startswith(magic)), None)


def _limited(path: Path, settings: DataSettings, file: str) -> Iterator[bytes]:
    packed, size = path.stat().st_size, 0
    allowed = max(FREE_BYTES, int(packed * settings.max_ratio))
    with opened(path) as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > settings.max_input_bytes:
                raise InputFault(
                    "the file is too large",
                    value=f"more than {settings.max_input_bytes:,} bytes",
                    where=file, fix="split it into parts, or raise data.max_input_bytes",
                )  # fmt: skip
            if size > allowed and path.suffix in (".gz", ".zst"):
                raise InputFault(
                    "the file unpacks to far more than it should (a decompression bomb?)",
                    value=f"{packed:,} bytes became more than {allowed:,}",
                    where=file, fix="look at it; raise data.max_ratio if it is right",
                )  # fmt: skip
            yield chunk


def opened(path: Path) -> IO[bytes]:
    """The file as a stream, decompressed by its ending."""
    match path.suffix:
        case ".gz":
            return cast(IO[bytes], gzip.GzipFile(path))
        case ".zst":
            stream: IO[bytes] = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
            return stream
        case _:
            return path.open("rb")


def _damaged(file: str, why: str) -> InputFault:
    return InputFault(
        f"the compressed file is damaged or truncated: {why}", where=file, fix="upload it again"
    )


def _utf8(data: bytes, settings: DataSettings, file: str) -> bytes:
    encoding = settings.encoding
    if encoding == "utf-8":
        data = data.removeprefix(UTF8_MARK)
        head = data[:4096]
        wide = head.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) * 3 > len(head)
        if wide:
            raise InputFault(
                "the file is UTF-16 or UTF-32, not UTF-8", value=repr(head[:16]), where=file,
                fix="set data.encoding = 'utf-16', or save it as UTF-8",
            )  # fmt: skip
    try:
        for start in range(0, len(data), CHUNK) if encoding == "utf-8" else ():
            if not data[start : start + CHUNK].isascii():
                data.decode("utf-8")
                break
        return data if encoding == "utf-8" else data.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        row = data.count(b"\n", 0, start) + 1
        raise InputFault(
            f"byte {start} (row {row}) is not {encoding}",
            value=repr(data[max(0, start - 20) : start + 10]), where=f"{file}:{row}",
            fix="save the file as UTF-8, or set data.encoding (latin-1, cp1252, ...)",
        ) from None  # fmt: skip

"""Files that survive a power cut, checksums, and the lock of a work folder."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from recsys.errors import LockFault, ResourceFault

TEMPORARY = ".staging-"
# full, over quota, read-only, file too large, a device that fails
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})


def write_json(path: Path, value: object) -> None:
    """Writes `value` as sorted, indented JSON and fsyncs it."""
    with path.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, sort_keys=True, ensure_ascii=False, default=str)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())


def replace_json(path: Path, value: object) -> None:
    """Writes `value` beside `path`, then replaces `path` by it: atomic and durable."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    write_json(temporary, value)
    temporary.replace(path)
    sync_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Writes `text` beside `path`, then replaces `path` by it: atomic and durable."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Makes a file's content durable."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_errno(error: BaseException) -> int:
    """Which failure of the disk an error stands for; 0 for none.

    Libraries in Rust and C++ tell it in the words of an error that is no `OSError`.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in DISK else 0
    told = {os.strerror(number): number for number in DISK}
    told |= {f"(os error {number})": number for number in DISK}
    told["Invalid thrift: transport error"] = errno.EIO  # polars: a Parquet file's last bytes
    found = re.search("|".join(map(re.escape, told)), str(error))
    return told[found[0]] if found else 0


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Holds the lock of a work folder. The kernel drops it with the process, however that ends.

    Raises:
        LockFault: another run holds it.
        ResourceFault: the folder cannot be made or written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ResourceFault(
            f"the folder cannot be used: {error.strerror}", where=str(root),
            fix="name another, or mend its permissions",
        ) from None  # fmt: skip
    with lock as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise LockFault(
                "another run holds the lock",
                value=stream.read().strip(),
                where=str(root / ".lock"),
                fix="wait for it to end, or stop that process",
            ) from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()}\n")
        stream.flush()
        yield

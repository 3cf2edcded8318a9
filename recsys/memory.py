"""Memory that a process keeps or gives back, and arrays that need not stay in it."""

import contextlib
import ctypes
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsys import durable
from recsys.errors import ResourceFault

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
SMALL = 1 << 22  # bytes that may as well stay in memory
LARGE = 1 << 28  # bytes that need not stay there, of what is read over and over
KEPT, LARGEST = (1 << 31) - 1, 32 << 20  # bytes: the most that can be asked for


def keep_freed() -> None:
    """Tells glibc to use freed memory again, where it would return it to the system at once.

    Every step of training and every block of users needs the same tens of megabytes anew, and the
    system has to clear each page that it hands out. Other C libraries go on as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)


def give_back() -> None:
    """Returns what has been kept to the system: what comes next needs other memory.

    After training half a gigabyte lies free in pieces of its steps' sizes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def spilled(count: int, folder: Path | None, least: int) -> npt.NDArray[np.uint8]:
    """`[count]` bytes in a file without a name: where memory is short they lie on disk alone.

    The file ends with the array, or with the process, however that ends; nobody else can open it.

    Args:
        count: of bytes.
        folder: on the disk to use; None, or one that may not be written, for memory.
        least: fewer stay in memory.

    Raises:
        ResourceFault: there is no room for it.
    """
    if count < least or not _writable(folder):
        return np.empty(count, np.uint8)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, count)  # a page without room would end the process
            return _mapped(file.fileno())
    except OSError as error:
        raise _no_room(f"{count:,} bytes", folder, error.errno) from None


def written(write: Callable[[str], object], folder: Path | None) -> npt.NDArray[np.uint8]:
    """What `write` puts into a file, as the bytes of one without a name.

    Args:
        write: is given the path of an empty file to write to.
        folder: as for `spilled`, for few bytes too.

    Raises:
        ResourceFault: there is no room for it.
    """
    try:
        with contextlib.ExitStack() as stack:
            if _writable(folder):
                number = stack.enter_context(tempfile.TemporaryFile(dir=folder)).fileno()
            else:
                number = os.memfd_create("recsys")
                stack.callback(os.close, number)
            write(f"/proc/self/fd/{number}")
            return _mapped(number)
    except (OSError, RuntimeError) as error:  # faiss tells a full disk by the latter
        code = durable.disk_errno(error)
        if not code:
            raise
        raise _no_room("an index", folder, code) from None


def _writable(folder: Path | None) -> bool:
    return folder is not None and os.access(folder, os.W_OK)


def _mapped(number: int) -> npt.NDArray[np.uint8]:
    """The bytes of an open file; they outlive its closing."""
    return np.frombuffer(mmap.mmap(number, 0), np.uint8)


def _no_room(what: str, folder: Path | None, code: int | None) -> ResourceFault:
    return ResourceFault(
        f"{what} cannot be set aside: {os.strerror(code or 0)}", value=str(folder),
        where="work", fix="free space, or name a work folder on another disk",
    )  # fmt: skip

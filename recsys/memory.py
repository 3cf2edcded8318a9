"""Memory that a process keeps or gives back, and arrays that need not stay in it."""

import ctypes
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsys.errors import ResourceFault

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
SMALL = 1 << 22  # bytes that may as well stay in memory
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


def spilled(count: int, folder: Path | None) -> npt.NDArray[np.uint8]:
    """`[count]` bytes in a file without a name: where memory is short they lie on disk alone.

    The file ends with the array, or with the process, however that ends; nobody else can open it.

    Args:
        count: of bytes; few stay in memory.
        folder: on the disk to use; None, or one that may not be written, for memory.

    Raises:
        ResourceFault: there is no room for it.
    """
    if folder is None or count < SMALL or not os.access(folder, os.W_OK):
        return np.empty(count, np.uint8)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, count)  # a page without room would end the process
            pages = mmap.mmap(file.fileno(), count)
    except OSError as error:
        raise ResourceFault(
            f"{count:,} bytes of the log cannot be set aside: {error.strerror}", value=str(folder),
            where="work", fix="free space, or name a work folder on another disk",
        ) from None  # fmt: skip
    return np.frombuffer(pages, np.uint8)

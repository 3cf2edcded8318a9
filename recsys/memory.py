"""Memory that a process keeps instead of giving it back, and when it does give it back."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
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

"""Small pictures of catalogue items: found by the safe media paths, decoded and made anew here."""

import functools
from pathlib import Path

from recsys.data import media_paths
from recsys.features.media import MediaLimits
from recsys.serving import thumbnails

SIDES = (120, 240, 480)
KEPT = 4096  # small pictures in memory: some 30 MB


@functools.lru_cache(maxsize=KEPT)
def photo(folder: Path, path: str, side: int, limits: MediaLimits) -> bytes:
    """A JPEG of a catalogue's image; empty where it cannot be used.

    Args:
        folder: the dataset folder.
        path: as the catalogue has it.
        side: most pixels a side.
        limits: beyond which nothing is decoded.
    """
    file = media_paths.resolve(folder, path)
    try:
        if not isinstance(file, Path) or file.stat().st_size > limits.max_bytes:
            return b""
        return thumbnails.picture(file.read_bytes(), limits, side)
    except OSError:
        return b""


@functools.lru_cache(maxsize=KEPT // 16)
def clip(folder: Path, path: str, side: int, limits: MediaLimits) -> bytes:
    """An animated WebP of a catalogue's clip; arguments as of `photo`."""
    file = media_paths.resolve(folder, path)
    return thumbnails.film(file, limits, side) if isinstance(file, Path) else b""

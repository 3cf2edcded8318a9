"""Small pictures of catalogue items: found by the safe media paths, decoded and made anew here."""

import functools
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from recsys.data import media_paths
from recsys.features.media import MediaLimits
from recsys.serving import thumbnails

SIDES = (120, 240, 480)
NARROW = 0.8  # width : height below which a picture counts as tall
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


def shape(
    folder: Path, paths: Sequence[str], limits: MediaLimits
) -> Literal["tall", "square", "wide"]:
    """What a catalogue's images mostly are, so that posters stand in frames that show them whole.

    Args:
        folder, limits: as of `photo`.
        paths: of some images.
    """
    made = [photo(folder, path, SIDES[0], limits) for path in paths]
    sizes = [Image.open(io.BytesIO(content)).size for content in made if content]
    ratio = statistics.median(width / height for width, height in sizes) if sizes else 1.0
    return "tall" if ratio < NARROW else "wide" if ratio > 1 / NARROW else "square"


@functools.lru_cache(maxsize=KEPT // 16)
def clip(folder: Path, path: str, side: int, limits: MediaLimits) -> bytes:
    """An animated WebP of a catalogue's clip; arguments as of `photo`."""
    file = media_paths.resolve(folder, path)
    return thumbnails.film(file, limits, side) if isinstance(file, Path) else b""

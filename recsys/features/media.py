"""What can be wrong with a media file, as a coded reason: a row of the failures table."""

import hashlib
from pathlib import Path

from pydantic import Field

from recsys.settings import Section

# These can go away without the content changing: they are tried again on the next run.
TRANSIENT = frozenset({"unreadable", "changed", "timeout", "out_of_memory", "killed"})
ASPECT, SIDE = "aspect", "too_small"
READY = b"ready\n"  # what a process that decodes says first


class MediaFault(Exception):  # noqa: N818
    """One item's text, image or clip that cannot be encoded.

    Attributes:
        code: a stable short name of the reason.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class MediaLimits(Section):
    """What an image or clip may be at most; beyond it the modality counts as missing."""

    max_pixels: int = Field(40_000_000, ge=1, description="pixels of an image or a frame")
    min_side: int = Field(8, ge=1, description="shorter side, pixels")
    max_aspect: float = Field(20.0, ge=1, description="longer side : shorter side")
    max_bytes: int = Field(200_000_000, ge=1, description="size of a file")
    max_seconds: float = Field(600.0, gt=0, description="length of a clip")
    max_frames: int = Field(150_000, ge=1, description="frames of one clip, whatever its length")
    timeout_seconds: float = Field(30.0, gt=0, description="time for decoding one clip")


def read(path: Path, limits: MediaLimits) -> bytes:
    """The bytes of a media file.

    Raises:
        MediaFault: it cannot be read, is empty, or too large.
    """
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise MediaFault("too_many_bytes", f"{size:,} bytes, at most {limits.max_bytes:,}")
        content = path.read_bytes()
    except OSError as error:
        raise MediaFault("unreadable", f"the file cannot be read: {error.strerror}") from None
    if not content:
        raise MediaFault("empty", "the file has no bytes")
    return content


def limits_digest(limits: MediaLimits) -> str:
    """Identifies limits (8 hex digits): what they refused is tried again when they change."""
    return hashlib.sha256(limits.model_dump_json().encode()).hexdigest()[:8]


def check_size(width: int, height: int, limits: MediaLimits) -> None:
    """Refuses pictures too large, too small or too narrow.

    Raises:
        MediaFault: with the two sides.
    """
    if width * height > limits.max_pixels:
        raise MediaFault("too_large", f"{width} x {height} pixels, at most {limits.max_pixels:,}")
    if min(width, height) < limits.min_side:
        raise MediaFault(SIDE, f"{width} x {height} pixels, at least {limits.min_side} a side")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise MediaFault(ASPECT, f"{width} x {height} pixels, at most 1:{limits.max_aspect:g}")

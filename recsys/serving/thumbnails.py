"""Small pictures for pages: bytes of an image, or frames of a clip, in; small files out.

The original bytes never reach a page: what a browser decodes was encoded here. Called by the report
and the explorer.
"""

import base64
import io
from pathlib import Path

from PIL import Image

from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.media import MediaFault, MediaLimits

SIDE_PIXELS = 200
QUALITY = 78
FRAMES, FRAME_MILLISECONDS = 12, 125


def picture(content: bytes, limits: MediaLimits, side: int = SIDE_PIXELS) -> bytes:
    """A JPEG of at most `side` pixels a side; empty for what is no usable image.

    Args:
        content: of an image file, as it stands on disk; may be anything.
        limits: beyond which an image is not decoded.
        side: of the small picture, pixels.
    """
    if not content:
        return b""
    try:
        pixels = confined.decode(content, Wanted("image"), limits)
    except MediaFault:
        return b""
    small = Image.fromarray(pixels)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def address(content: bytes, limits: MediaLimits) -> str:
    """`picture` as a `data:` address; empty for what is no usable image."""
    small = picture(content, limits)
    return "data:image/jpeg;base64," + base64.b64encode(small).decode("ascii") if small else ""


def film(path: Path, limits: MediaLimits, side: int = SIDE_PIXELS) -> bytes:
    """A short animated WebP of a clip: frames spread over it, square; empty for no usable clip.

    Args:
        path: of the clip.
        limits: beyond which a clip is not decoded.
        side: of the small pictures, pixels.
    """
    try:
        frames = [
            Image.fromarray(one)
            for one in confined.load(path, Wanted("video", side, FRAMES), limits)
        ]
    except MediaFault:
        return b""
    stream = io.BytesIO()
    frames[0].save(
        stream, "WEBP", save_all=True, append_images=frames[1:], duration=FRAME_MILLISECONDS,
        loop=0, quality=QUALITY,
    )  # fmt: skip
    return stream.getvalue()

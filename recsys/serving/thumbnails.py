"""Small pictures inside the report page: bytes of an image in, a `data:` address out."""

import base64
import io

from PIL import Image

from recsys.features import images
from recsys.features.media import MediaFault, MediaLimits

SIDE_PIXELS = 200
QUALITY = 78


def address(content: bytes, limits: MediaLimits) -> str:
    """A JPEG of at most 200 pixels a side as a `data:` address; empty for what is no usable image.

    The original bytes never reach the page: what a browser decodes was encoded here.

    Args:
        content: of an image file, as it stands on disk; may be anything.
        limits: beyond which an image is not decoded.
    """
    if not content:
        return ""
    try:
        pixels = images.decode(content, limits)
    except MediaFault:
        return ""
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

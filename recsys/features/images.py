"""Opening images that nobody vouches for: four formats, bounded size, one RGB path.

Called in a process of its own, by `decoder`.
"""

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from recsys.features.media import MediaFault, MediaLimits, check_size

Pixels = npt.NDArray[np.uint8]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
WHITE = (255, 255, 255)
# Once, for the process: `catch_warnings` in threads that decode side by side would lose filters.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def decode(content: bytes, limits: MediaLimits) -> Pixels:
    """Decodes an image fully to RGB `[height, width, 3]`: first frame, upright, on white.

    Formats outside JPEG, PNG, WEBP and GIF are never handed to their decoders, whatever the file
    is called. Truncated files are refused, 16-bit ones scaled.

    Raises:
        MediaFault: no image, or beyond the limits.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_size(*image.size, limits)
            image.load()
            return np.asarray(_rgb(image), dtype=np.uint8)
    except MediaFault:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaFault("too_large", str(error)) from None
    except MemoryError:
        raise
    except UnidentifiedImageError:  # its own text holds an address in memory
        raise MediaFault("not_an_image", f"none of {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow's decoders raise many kinds, ValueError for zip bombs
        raise MediaFault("not_an_image", f"{type(error).__name__}: {error}") from None


def _rgb(image: Image.Image) -> Image.Image:
    """Upright and on white; 16-bit greys are scaled to 8 bits instead of cut."""
    upright = _upright(image)
    if upright.mode in WIDE_MODES:
        wide = np.asarray(upright).astype(np.float64)
        upright = Image.fromarray((wide.clip(0, 65_535) / 257).round().astype(np.uint8))
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (*WHITE, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return upright.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the picture itself
        return image

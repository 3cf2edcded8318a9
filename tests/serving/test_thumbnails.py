"""Pictures of the page are made anew and small; what is no picture is left out."""

import base64
import io

import pytest
from PIL import Image

from recsys.features.media import MediaLimits
from recsys.serving import thumbnails

LIMITS = MediaLimits()


def encoded(kind: str, size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, "#0072b2").save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_any_picture_becomes_a_small_jpeg(kind: str) -> None:
    address = thumbnails.address(encoded(kind, (800, 400)), LIMITS)
    content = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (200, 100))
        red, green, blue = picture.getpixel((50, 50))
    assert max(abs(red - 0x00), abs(green - 0x72), abs(blue - 0xB2)) < 12


def test_small_ones_stay_small() -> None:
    address = thumbnails.address(encoded("PNG", (40, 30)), LIMITS)
    content = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (40, 30)


@pytest.mark.parametrize(
    "content",
    [b"", b"<svg onload=alert(1)>", encoded("JPEG", (300, 300))[:400], encoded("PNG", (2, 2)),
     encoded("BMP", (100, 100)), encoded("PNG", (1000, 1001))],
)  # fmt: skip
def test_what_is_no_usable_picture(content: bytes) -> None:
    assert thumbnails.address(content, MediaLimits(max_pixels=1_000_000)) == ""

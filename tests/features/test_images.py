"""Every bad picture of the reliability list ends in a coded fault; odd but good ones end in RGB."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recsys.features import confined, images
from recsys.features.confined import Wanted
from recsys.features.media import MediaFault, MediaLimits

LIMITS = MediaLimits()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size; its pixels are one short compressed run of zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def text_bomb() -> bytes:
    """E05: a PNG whose compressed text chunk grows to 200 MB."""
    good = saved(Image.new("RGB", (16, 16)), "PNG")
    body = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    return good[:33] + chunk + struct.pack(">I", zlib.crc32(b"zTXt" + body)) + good[33:]


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "E01 empty": (lambda: b"", "empty"),
    "E01 error page": (lambda: b"<!DOCTYPE html><h1>404</h1>", "not_an_image"),
    "E02 truncated": (lambda: saved(Image.fromarray(NOISE), "JPEG")[:-900], "not_an_image"),
    "E03 144 MPx": (lambda: png_header(12_000, 12_000), "too_large"),
    "E04 400 MPx": (lambda: png_header(20_000, 20_000), "too_large"),
    "E05 text bomb": (text_bomb, "not_an_image"),
    "E06 EPS": (lambda: saved(Image.new("RGB", (64, 64)), "EPS"), "not_an_image"),
    "E06 TIFF": (lambda: saved(Image.new("RGB", (64, 64)), "TIFF"), "not_an_image"),
    "E11 one pixel": (lambda: saved(Image.new("RGB", (1, 1)), "PNG"), "too_small"),
    "E11 a line": (lambda: saved(Image.new("RGB", (3000, 10)), "PNG"), "aspect"),
    "E13 SVG": (lambda: b'<svg xmlns="x"><image href="file:///etc/passwd"/></svg>', "not_an_image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_pictures_are_refused(name: str, tmp_path: Path) -> None:
    content, code = REFUSED[name]
    path = tmp_path / "picture.jpg"
    path.write_bytes(content())
    with pytest.raises(MediaFault) as caught:
        confined.load(path, Wanted("image"), LIMITS)
    assert caught.value.code == code


def test_an_absent_picture_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(MediaFault) as caught:
        confined.load(tmp_path / "none.jpg", Wanted("image"), LIMITS)
    assert caught.value.code == "unreadable"


def test_sixteen_bits_are_scaled() -> None:
    # E07: 40000 / 65535 * 255 = 155.6 -> 156; Pillow alone would clip it to white
    deep = Image.fromarray(np.full((16, 16), 40_000, dtype=np.uint16))
    assert (images.decode(saved(deep, "PNG"), LIMITS) == 156).all()


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    # 200 / 65535 * 255 = 0.8 -> 1: dark, not the mid grey that 200 of 255 would be
    deep = Image.fromarray(np.full((16, 16), 200, dtype=np.uint16))
    assert (images.decode(saved(deep, "PNG"), LIMITS) == 1).all()


def test_transparent_red_is_white() -> None:
    # E08
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert (images.decode(saved(clear, "PNG"), LIMITS) == 255).all()


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("L", "PNG"), ("P", "GIF"), ("1", "PNG"), ("LA", "PNG")]
)
def test_every_mode_becomes_rgb(mode: str, kind: str) -> None:
    # E09
    pixels = images.decode(saved(Image.new(mode, (20, 16)), kind), LIMITS)
    assert pixels.shape == (16, 20, 3)
    assert pixels.dtype == np.uint8


def test_orientation_is_applied() -> None:
    # E10: orientation 6 is shown turned a quarter to the right
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(Image.new("RGB", (20, 16)), "JPEG", exif=exif)
    assert images.decode(content, LIMITS).shape == (20, 16, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_first_of_many_frames_counts(kind: str) -> None:
    # E12
    frames = [Image.new("RGB", (16, 16), (255 if i == 0 else 0, 0, 0)) for i in range(50)]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert images.decode(content, LIMITS)[8, 8, 0] > 200


def test_a_flipped_bit_never_raises_anything_else() -> None:
    # E14: most flips decode; those that do not are faults
    content = bytearray(saved(Image.fromarray(NOISE), "JPEG"))
    for place in np.random.default_rng(1).integers(0, len(content) * 8, 60):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        with contextlib.suppress(MediaFault):
            assert images.decode(bytes(damaged), LIMITS).shape[2] == 3

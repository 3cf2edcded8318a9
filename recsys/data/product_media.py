"""Photos and clips of the sample shop, drawn with numpy.

A photo shows colour and pattern; a clip shows how a grey thing moves, and its single frames look
alike whatever the motion.
"""

import colorsys
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]
MOTIONS = ("slide", "bounce", "drift", "turn", "zoom", "blink")
FRAMES_PER_SECOND = 8


def photo(hue: int, pattern: int, kind: int, side: int, random: np.random.Generator) -> Pixels:
    """A product on a pale ground, RGB `[side, side, 3]`.

    Args:
        hue: 0..5, sixths of the colour circle.
        pattern: 0 plain, 1 stripes, 2 dots, 3 checks.
        kind: shape of the product.
        side: pixels.
        random: place, size, shade and light.
    """
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    x, y = x + random.uniform(-0.06, 0.06), y + random.uniform(-0.06, 0.06)
    ground = 0.93 + random.uniform(-0.03, 0.03) - 0.12 * (y + 0.5) * random.uniform(0.3, 1)
    shade = colorsys.hsv_to_rgb(
        (hue / 6 + random.uniform(-0.025, 0.025)) % 1,
        random.uniform(0.65, 0.9),
        random.uniform(0.65, 0.9),
    )
    light = np.clip(1.06 - 0.35 * (x + y + random.uniform(-0.1, 0.1)), 0.6, 1.15)
    cover = _pattern(pattern, x, y, random)[..., None]
    paint = np.array(shade) * (1 - cover) + np.array([0.97, 0.96, 0.93]) * cover
    inside = _shape(kind, x, y, random.uniform(0.30, 0.38))[..., None]
    pixels = ground[..., None] * (1 - inside) + paint * light[..., None] * inside
    pixels += random.normal(0, 0.012, pixels.shape)
    return np.asarray((pixels.clip(0, 1) * 255).round(), np.uint8)


def clip(motion: int, side: int, frames: int, random: np.random.Generator) -> Pixels:
    """A grey cross that moves, RGB `[frames, side, side, 3]`.

    Whatever does not move rests at a moment of a swing of its own: place, size, angle and light of
    a single frame are spread alike in all motions, so that only several frames tell them apart.

    Args:
        motion: an index of `MOTIONS`.
        side: pixels.
        frames: how many, 8 a second.
        random: place, size, phase, speed and shade.
    """
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    turns = random.uniform(1.6, 2.4)
    across, down, growth, light = np.sin(random.uniform(0, 2 * np.pi, 4))[:, None].repeat(frames, 1)
    angle = np.full(frames, random.uniform(0, 2 * np.pi))
    course = random.uniform(0, 2 * np.pi) + turns * 2 * np.pi * np.arange(frames) / frames
    match MOTIONS[motion]:
        case "slide":
            across = np.sin(course)
        case "bounce":
            down = np.sin(course)
        case "drift":  # along a diagonal that is tilted and set off by chance
            across = across * 0.5 + np.sin(course) * random.uniform(0.6, 0.9)
            down = down * 0.5 + np.sin(course) * random.uniform(0.6, 0.9)
        case "turn":
            angle = course / 2
        case "zoom":
            growth = np.sin(course)
        case "blink":
            light = np.sin(course)
    size, shade = random.uniform(0.14, 0.17), random.uniform(0.3, 0.4)
    ground = random.uniform(0.62, 0.68)
    pictures = []
    for step in range(frames):
        inside = _cross(
            x - 0.2 * across[step],
            y - 0.2 * down[step],
            angle[step],
            size * (1 + 0.4 * growth[step]),
        )
        pictures.append((ground + (shade - ground) * inside) * (1 + 0.35 * light[step]))
    grey = np.stack(pictures).clip(0, 1)
    return np.repeat((grey * 255).round().astype(np.uint8)[..., None], 3, axis=-1)


def write_photo(pixels: Pixels, path: Path) -> None:
    """Writes a JPEG or PNG, as the path's ending says."""
    from PIL import Image

    Image.fromarray(pixels).save(path, quality=88)


def write_clip(frames: Pixels, path: Path) -> None:
    """Writes an H.264 MP4."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(content.getvalue())


def _pattern(pattern: int, x: Plane, y: Plane, random: np.random.Generator) -> Plane:
    """Where the second, pale colour is, 0..1."""
    turn, period = random.uniform(-0.15, 0.15), random.uniform(0.11, 0.14)
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    u, v = u / period + random.random(), v / period + random.random()
    pale: npt.NDArray[np.bool_] = np.zeros_like(x, dtype=np.bool_)
    match pattern:
        case 1:
            pale = (u % 1) < 0.5
        case 2:
            pale = np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.33
        case 3:
            pale = ((u % 1) < 0.5) ^ ((v % 1) < 0.5)
    return pale.astype(np.float64)


def _shape(kind: int, x: Plane, y: Plane, size: float) -> Plane:
    """Where the product is, 0..1: a superellipse, its roundness and proportions by kind."""
    roundness = (2.0, 8.0, 3.0, 12.0, 4.0, 16.0, 2.5, 6.0)[kind % 8]
    wide = (1.0, 0.7, 1.1, 0.8, 0.9, 0.75, 1.15, 0.5)[kind % 8]
    reach = (np.abs(x / (size * wide)) ** roundness + np.abs(y / size) ** roundness) ** (
        1 / roundness
    )
    return np.clip((1 - reach) * 40, 0, 1)


def _cross(x: Plane, y: Plane, angle: float, size: float) -> Plane:
    """Where a turned cross with unlike arms is, 0..1."""
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bar = _soft(size - np.abs(u)) * _soft(0.35 * size - np.abs(v))
    other = _soft(0.7 * size - np.abs(v)) * _soft(0.25 * size - np.abs(u))
    return np.maximum(bar, other)


def _soft(inside: Plane) -> Plane:
    return np.clip(inside * 40 + 0.5, 0, 1)

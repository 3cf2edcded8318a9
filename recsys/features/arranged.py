"""Rotated copies of photos, and single frames of clips, as an image encoder sees them.

They are encoders like others, so that the same stores hold what they make; pretraining asks which
way a photo was turned, and which frame was in the middle.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.encoders import Encoder
from recsys.features.media import MediaLimits, limits_digest

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
TURNS = 4  # quarters


class ImageEncoder(Encoder, Protocol):
    """An encoder of pictures that takes them from memory, too."""

    def prepare(self, pixels: Pixels) -> Any:
        """RGB `[height, width, 3]` to what `encode` takes."""


class RotatedPhotos:
    """A photo turned by 0, 90, 180 and 270 degrees: four vectors side by side."""

    modality = "rotations"

    def __init__(self, image: ImageEncoder, limits: MediaLimits) -> None:
        self._image, self._limits = image, limits
        self.width = TURNS * image.width
        self.fingerprint = f"rotations-1-{image.fingerprint}"

    def load(self, source: str | Path) -> list[Any]:
        """The four turns of one photo."""
        pixels = confined.load(Path(source), Wanted("image"), self._limits)
        return [
            self._image.prepare(np.ascontiguousarray(np.rot90(pixels, turn)))
            for turn in range(TURNS)
        ]

    def encode(self, batch: list[list[Any]]) -> Vectors:
        """`[B, 4 * D]`."""
        return _side_by_side(self._image, batch)


class SingleFrames:
    """F frames of a clip, evenly spread, in their order: F vectors side by side."""

    modality = "frames"

    def __init__(self, image: ImageEncoder, frames: int, side: int, limits: MediaLimits) -> None:
        self._image, self._frames, self._side, self._limits = image, frames, side, limits
        self.width = frames * image.width
        self.fingerprint = f"frames-1-{frames}-{side}-{limits_digest(limits)}-{image.fingerprint}"

    def load(self, source: str | Path) -> list[Any]:
        """The frames of one clip."""
        wanted = Wanted("video", self._side, self._frames)
        frames = confined.load(Path(source), wanted, self._limits)
        return [self._image.prepare(frame) for frame in frames]

    def encode(self, batch: list[list[Any]]) -> Vectors:
        """`[B, F * D]`."""
        return _side_by_side(self._image, batch)


def _side_by_side(image: ImageEncoder, batch: list[list[Any]]) -> Vectors:
    vectors = image.encode([one for several in batch for one in several])
    return vectors.reshape(len(batch), -1)

"""Video encoders: an image network over frames, a transformers model, or motion statistics."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.image import TimmImage
from recsys.features.media import MediaLimits, limits_digest
from recsys.features.pretrained import transformers_model, weights_digest

Frames = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
CELLS = 4


class MotionStatistics:
    """Where and how brightness changes from frame to frame; what a single frame shows is left out.

    Per pair of frames the least-squares flow field (translation, divergence, rotation, after Lucas
    and Kanade, 1981), the change per cell of a 4 x 4 grid and the change of brightness, each
    summarised over time by mean, mean size, and the spectrum of its course.
    """

    modality = "video"

    def __init__(self, frames: int, side: int, limits: MediaLimits) -> None:
        self._frames, self._side, self._limits = frames, side, limits
        courses = 6 + 1 + CELLS * CELLS
        self.width = courses * 2 + 7 * (frames // 2)
        self.fingerprint = f"motion-statistics-3-{frames}-{side}-{limits_digest(limits)}"

    def load(self, source: str | Path) -> Frames:
        """RGB `[F, side, side, 3]`."""
        wanted = Wanted("video", self._side, self._frames)
        return confined.load(Path(source), wanted, self._limits)

    def encode(self, batch: list[Frames]) -> Vectors:
        """`[B, width]`."""
        return np.stack([self._one(frames) for frames in batch]).astype(np.float32)

    def _one(self, frames: Frames) -> Vectors:
        grey = frames.mean(axis=-1, dtype=np.float32) / 255.0
        flow = np.stack([_flow(a, b) for a, b in itertools.pairwise(grey)])
        light = np.diff(grey.mean(axis=(1, 2)))[:, None] * 10
        course = np.concatenate([flow, light], axis=1)
        change = np.abs(np.diff(grey, axis=0))
        side = change.shape[1] // CELLS
        cells = change[:, : CELLS * side, : CELLS * side].reshape(-1, CELLS, side, CELLS, side)
        spread = cells.mean(axis=(2, 4)).reshape(len(change), -1) * 10
        every = np.concatenate([course, spread], axis=1)
        spectrum = np.abs(np.fft.rfft(course, n=self._frames, axis=0))[1 : self._frames // 2 + 1]
        parts = [every.mean(axis=0), np.abs(every).mean(axis=0), spectrum.T.ravel() / len(course)]
        return np.concatenate(parts).astype(np.float32)


class PooledFrames:
    """An image network over each frame: mean, spread and trend of its outputs over time.

    The mean alone would not tell a clip from its reverse; the trend (last half minus first) does.
    """

    modality = "video"

    def __init__(self, image: TimmImage, frames: int, side: int, limits: MediaLimits) -> None:
        self._image, self._frames, self._side, self._limits = image, frames, side, limits
        self.width = 3 * image.width
        self.fingerprint = f"pooled-frames-3-{frames}-{side}-{image.fingerprint}"

    def load(self, source: str | Path) -> Any:
        """The network's inputs of F frames."""
        wanted = Wanted("video", self._side, self._frames)
        frames = confined.load(Path(source), wanted, self._limits)
        return [self._image.prepare(frame) for frame in frames]

    def encode(self, batch: list[Any]) -> Vectors:
        """`[B, 3 * width of the image network]`."""
        outputs = np.stack([self._image.encode(frames) for frames in batch])
        half = self._frames // 2
        trend = outputs[:, -half:].mean(axis=1) - outputs[:, :half].mean(axis=1)
        return np.concatenate([outputs.mean(axis=1), outputs.std(axis=1), trend], axis=1)


class TransformersVideo:
    """A transformers video model (VideoMAE, ViViT, X-CLIP's vision part), mean of its states.

    Args:
        model: a hub name or a local folder.
        limits: of the clips.
        device: torch device.

    Raises:
        InputFault: the model is not there and cannot be had.
    """

    modality = "video"

    def __init__(self, model: str, limits: MediaLimits, device: str) -> None:
        self._model = transformers_model("features.video.model", model, device)
        config = self._model.config
        self._limits, self._device = limits, device
        self._frames, self._side = int(config.num_frames), int(config.image_size)
        self.width = int(config.hidden_size)
        self.fingerprint = (
            f"transformers-video-3-{weights_digest(model, self._model)}-{limits_digest(limits)}"
        )

    def load(self, source: str | Path) -> Vectors:
        """`[F, 3, side, side]`, normalised with ImageNet's means as VideoMAE was trained."""
        wanted = Wanted("video", self._side, self._frames)
        frames = confined.load(Path(source), wanted, self._limits)
        mean = np.array([0.485, 0.456, 0.406], np.float32)
        std = np.array([0.229, 0.224, 0.225], np.float32)
        pixels = (frames.astype(np.float32) / 255.0 - mean) / std
        return pixels.transpose(0, 3, 1, 2).astype(np.float32)

    def encode(self, batch: list[Vectors]) -> Vectors:
        """`[B, width]`."""
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy(np.stack(batch)).to(self._device)
            states = self._model(pixel_values=inputs).last_hidden_state
            vectors: Vectors = states.mean(dim=1).float().cpu().numpy()
        return vectors


def _flow(first: Vectors, second: Vectors) -> Vectors:
    """Translation (2), divergence and rotation (2), deformation (2) that best explain the change.

    Solves It + Ix * u + Iy * v = 0 in least squares for an affine field (u, v).
    """
    down, across = np.gradient((first + second) / 2)
    height, width = first.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    columns = [across, down, across * x, across * y, down * x, down * y]
    matrix = np.stack([column.ravel() for column in columns], axis=1)
    target = -(second - first).ravel()
    normal = matrix.T @ matrix + 1e-3 * np.eye(6)
    u, v, ux, uy, vx, vy = np.linalg.solve(normal, matrix.T @ target)
    return np.array([u, v, ux + vy, vx - uy, ux - vy, vx + uy], np.float32)

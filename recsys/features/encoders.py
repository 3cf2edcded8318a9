"""Chooses the encoder of each modality; the contract that all of them fulfil."""

from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from recsys.features.settings import FeatureSettings

Modality = Literal["text", "image", "video"]
MODALITIES: tuple[Modality, ...] = ("text", "image", "video")
STATISTICS_SIDE = 64


class Encoder(Protocol):
    """From a source (a text, or the path of a file) to a vector.

    Attributes:
        modality: what it reads.
        width: D of its vectors.
        fingerprint: changes whenever its vectors would.
    """

    modality: str
    width: int
    fingerprint: str

    def load(self, source: str | Path) -> Any:
        """Decodes one source; runs in threads. Raises `MediaFault` for a source that is broken."""

    def encode(self, batch: list[Any]) -> npt.NDArray[np.float32]:
        """`[B, width]` of B decoded sources."""


@cache
def build(modality: Modality, settings: FeatureSettings) -> Encoder | None:
    """The encoder of a modality, loaded once; None where the settings leave it out.

    Raises:
        InputFault: a model cannot be loaded.
    """
    from recsys.features.text import HashedText, TransformerText

    match modality:
        case "text":
            match settings.text.encoder:
                case "hashed":
                    return HashedText(settings.text.width)
                case "transformers":
                    return TransformerText(settings.text.model, device(settings))
                case "none":
                    return None
        case "image":
            return _image(settings)
        case "video":
            return _video(settings)


def batch_size(modality: Modality, settings: FeatureSettings) -> int:
    """Sources encoded at a time."""
    match modality:
        case "text":
            return settings.text.batch
        case "image":
            return settings.image.batch
        case "video":
            return settings.video.batch


def device(settings: FeatureSettings) -> str:
    """The torch device of networks."""
    if settings.device != "auto":
        return settings.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _image(settings: FeatureSettings) -> Encoder | None:
    from recsys.features.image import ImageStatistics

    match settings.image.encoder:
        case "statistics":
            return ImageStatistics(settings.image.side or STATISTICS_SIDE, settings.limits)
        case "timm":
            network: Encoder = _timm(settings)
            return network
        case "none":
            return None


def _video(settings: FeatureSettings) -> Encoder | None:
    from recsys.features.video import MotionStatistics, PooledFrames, TransformersVideo

    video, limits = settings.video, settings.limits
    match video.encoder:
        case "motion":
            return MotionStatistics(video.frames, video.side, limits)
        case "frames":
            return PooledFrames(_timm(settings), video.frames, video.side, limits)
        case "transformers":
            return TransformersVideo(video.model, limits, device(settings))
        case "none":
            return None


def _timm(settings: FeatureSettings) -> Any:
    from recsys.features.image import TimmImage

    image = settings.image
    options = image.model_dump(include={"side", "mean", "std", "pad_type"})
    return TimmImage(image.model, image.weights, options, settings.limits, device(settings))

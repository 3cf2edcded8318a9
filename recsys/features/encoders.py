"""Chooses the encoder of each modality; the contract that all of them fulfil."""

from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from recsys.features.settings import FeatureSettings

Modality = Literal["text", "image", "video", "audio"]
MODALITIES: tuple[Modality, ...] = ("text", "image", "video", "audio")
STATISTICS_SIDE = 64
NETWORKS = frozenset({"transformers", "clip", "timm", "frames"})


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
def build(
    modality: Modality, settings: FeatureSettings, fitted: Path | None = None
) -> Encoder | None:
    """The encoder of a modality, loaded once; None where the settings leave it out.

    Args:
        modality: what it reads.
        settings: which encoder.
        fitted: folder with what was learned from the catalogue, for an encoder that `is_fitted`.

    Raises:
        InputFault: a model cannot be loaded.
    """
    match modality:
        case "text":
            return _text(settings, fitted)
        case "image":
            return _image(settings)
        case "video":
            return _video(settings)
        case "audio":
            return _audio(settings)


def is_fitted(modality: Modality, settings: FeatureSettings) -> bool:
    """Whether the encoder learns something from the catalogue before it encodes."""
    return modality == "text" and settings.text.encoder == "tfidf"


def batch_size(modality: Modality, settings: FeatureSettings) -> int:
    """Sources encoded at a time."""
    match modality:
        case "text":
            return settings.text.batch
        case "image":
            return settings.image.batch
        case "video":
            return settings.video.batch
        case "audio":
            return settings.audio.batch


def device(settings: FeatureSettings) -> str:
    """The torch device of networks. Raises `UsageFault` for CUDA where there is none."""
    from recsys import devices

    return devices.chosen(settings.device, "features.device").type


def uses_gpu(modality: Modality, settings: FeatureSettings) -> bool:
    """Whether the encoder is a network that may run on a GPU."""
    chosen = getattr(settings, modality).encoder
    return chosen in NETWORKS and settings.device != "cpu"


def _text(settings: FeatureSettings, fitted: Path | None) -> Encoder | None:
    from recsys.features.image_text import ImageTextText
    from recsys.features.text import HashedText, TransformerText
    from recsys.features.tfidf import TfidfText
    from recsys.features.word_vectors import WordVectors

    text = settings.text
    match text.encoder:
        case "hashed":
            return HashedText(text.width)
        case "tfidf":
            if fitted is None:
                raise ValueError("this encoder has to be fitted first")
            return TfidfText(fitted)
        case "vectors":
            return WordVectors(text.model)
        case "transformers":
            return TransformerText(text.model, device(settings))
        case "clip":
            return ImageTextText(text.model, device(settings))
        case "none":
            return None


def _image(settings: FeatureSettings) -> Encoder | None:
    from recsys.features.image import ImageStatistics
    from recsys.features.image_text import ImageTextImage

    match settings.image.encoder:
        case "statistics":
            return ImageStatistics(settings.image.side or STATISTICS_SIDE, settings.limits)
        case "timm":
            network: Encoder = _timm(settings)
            return network
        case "clip":
            return ImageTextImage(settings.image.model, settings.limits, device(settings))
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


def _audio(settings: FeatureSettings) -> Encoder | None:
    from recsys.features.audio import SoundStatistics, TransformersAudio

    audio, limits = settings.audio, settings.limits
    match audio.encoder:
        case "statistics":
            return SoundStatistics(audio.seconds, limits)
        case "transformers":
            return TransformersAudio(audio.model, audio.seconds, limits, device(settings))
        case "none":
            return None


def _timm(settings: FeatureSettings) -> Any:
    from recsys.features.image import TimmImage

    image = settings.image
    options = image.model_dump(include={"side", "mean", "std", "pad_type"})
    return TimmImage(image.model, image.weights, options, settings.limits, device(settings))

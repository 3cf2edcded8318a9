"""Sound encoders: a transformers model (Whisper, CLAP, wav2vec2), or statistics of the spectrum."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.media import MediaLimits, limits_digest
from recsys.features.pretrained import preprocessor, transformers_model, weights_digest

Samples = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]
SETTING = "features.audio.model"
RATE, FRAME, BANDS = 16_000, 512, 32
LOWEST_HERTZ = 60.0


class SoundStatistics:
    """How loud each band of a sound is, how much that varies, and how fast: no weights, no words.

    Bands are spaced evenly on the mel scale (Stevens and Volkmann, 1940).
    """

    modality = "audio"

    def __init__(self, seconds: float, limits: MediaLimits) -> None:
        self._seconds, self._limits = seconds, limits
        self.width = 3 * BANDS
        self.fingerprint = f"sound-statistics-1-{seconds:g}-{limits_digest(limits)}"
        self._edges = _mel_edges()

    def load(self, source: str | Path) -> Samples:
        """Samples `[n]` at 16,000 a second."""
        wanted = Wanted("audio", rate=RATE, seconds=self._seconds)
        return confined.load(Path(source), wanted, self._limits)

    def encode(self, batch: list[Samples]) -> Vectors:
        """`[B, width]`."""
        return np.stack([self._one(samples) for samples in batch]).astype(np.float32)

    def _one(self, samples: Samples) -> Vectors:
        padded = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
        power = np.abs(np.fft.rfft(padded * np.hanning(FRAME), axis=1)) ** 2
        sums = np.add.reduceat(power, self._edges[:-1], axis=1)
        loud = np.log10(sums / FRAME + 1e-8)
        change = np.abs(np.diff(loud, axis=0)).mean(axis=0) if len(loud) > 1 else np.zeros(BANDS)
        return np.concatenate([loud.mean(axis=0), loud.std(axis=0), change])


class TransformersAudio:
    """The encoder of a transformers sound model: CLAP's vector, else the mean of its states.

    Of a model that also writes, such as Whisper, only the encoder runs.

    Args:
        model: a hub name or a local folder.
        seconds: of each sound that is heard, as far as the model hears so much.
        limits: of the files.
        device: torch device.

    Raises:
        InputFault: the model is not there and cannot be had.
    """

    modality = "audio"

    def __init__(self, model: str, seconds: float, limits: MediaLimits, device: str) -> None:
        self._model = transformers_model(SETTING, model, device)
        self._prepare = preprocessor(SETTING, model, "AutoFeatureExtractor")
        self._limits = limits
        self._rate = int(self._prepare.sampling_rate)
        most = getattr(self._prepare, "nb_max_samples", None)  # CLAP cuts longer ones at random
        self._seconds = min(seconds, most / self._rate) if most else seconds
        config = self._model.config
        self.width = int(getattr(config, "projection_dim", None) or config.hidden_size)
        self.fingerprint = (
            f"transformers-audio-1-{self._seconds:g}-{weights_digest(model, self._model)}-"
            f"{limits_digest(limits)}"
        )

    def load(self, source: str | Path) -> Samples:
        """Samples `[n]` at the model's rate."""
        wanted = Wanted("audio", rate=self._rate, seconds=self._seconds)
        return confined.load(Path(source), wanted, self._limits)

    def encode(self, batch: list[Samples]) -> Vectors:
        """`[B, width]`, each sound by itself: padding would count in the means."""
        import torch

        with torch.inference_mode():
            return np.concatenate([self._one(samples) for samples in batch])

    def _one(self, samples: Samples) -> Vectors:
        inputs: dict[str, Any] = self._prepare(
            samples, sampling_rate=self._rate, return_tensors="pt"
        ).to(self._model.device)
        inputs = {name: value for name, value in inputs.items() if "mask" not in name}
        if hasattr(self._model, "get_audio_features"):
            pooled = self._model.get_audio_features(**inputs).pooler_output
        else:
            whole = self._model.config.is_encoder_decoder
            network = self._model.get_encoder() if whole else self._model
            pooled = network(**inputs).last_hidden_state.mean(dim=1)
        vectors: Vectors = pooled.float().cpu().numpy()
        return vectors


def _mel_edges() -> npt.NDArray[np.int64]:
    """`[BANDS + 1]` first bins of the bands, strictly ascending."""
    low, high = 1127 * np.log1p(LOWEST_HERTZ / 700), 1127 * np.log1p(RATE / 2 / 700)
    hertz = 700 * np.expm1(np.linspace(float(low), float(high), BANDS + 1) / 1127)
    edges = np.round(hertz / RATE * FRAME).astype(np.int64)
    ascending: npt.NDArray[np.int64] = np.maximum(edges, edges[0] + np.arange(BANDS + 1))
    return ascending

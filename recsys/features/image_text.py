"""Texts and pictures by one CLIP or SigLIP model: both become vectors of one space."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.media import MediaLimits, limits_digest
from recsys.features.pretrained import (
    preprocessor,
    tokenizer,
    transformers_model,
    weights_digest,
)
from recsys.features.text import visible

Vectors = npt.NDArray[np.float32]


class ImageTextText:
    """The text half; vectors of length 1. Arguments and faults as of `TransformerText`."""

    modality = "text"

    def __init__(self, model: str, device: str) -> None:
        self._model = _both("features.text.model", model, device)
        self._tokenizer = tokenizer("features.text.model", model)
        text = self._model.config.text_config
        self._longest = int(text.max_position_embeddings)
        self.width = _width(self._model)
        self.fingerprint = f"image-text-text-1-{weights_digest(model, self._model)}"

    def load(self, source: str | Path) -> str:
        """The cleaned text, cut. Raises `MediaFault`: nothing visible is left."""
        return visible(source)

    def encode(self, batch: list[str]) -> Vectors:
        """`[B, width]`."""
        # SigLIP was trained on texts filled up to one length; CLIP does not read what is masked
        read = self._tokenizer(
            batch, padding="max_length", truncation=True, max_length=self._longest,
            return_tensors="pt",
        ).to(self._model.device)  # fmt: skip
        names = {"input_ids", "attention_mask"} & set(read)
        if "siglip" in self._model.config.model_type:
            names = {"input_ids"}
        return _pooled(self._model.get_text_features, {name: read[name] for name in names})


class ImageTextImage:
    """The picture half; its `limits` are those of pictures, all else as of `ImageTextText`."""

    modality = "image"

    def __init__(self, model: str, limits: MediaLimits, device: str) -> None:
        self._model = _both("features.image.model", model, device)
        self._prepare = preprocessor("features.image.model", model, "AutoImageProcessor")
        self._limits = limits
        self.width = _width(self._model)
        self.fingerprint = (
            f"image-text-image-1-{weights_digest(model, self._model)}-{limits_digest(limits)}"
        )

    def load(self, source: str | Path) -> Vectors:
        """The prepared picture `[3, side, side]`."""
        return self.prepare(confined.load(Path(source), Wanted("image"), self._limits))

    def prepare(self, pixels: npt.NDArray[np.uint8]) -> Vectors:
        """RGB `[height, width, 3]` to the model's input."""
        prepared: Vectors = self._prepare(pixels, input_data_format="channels_last",
                                          return_tensors="np")["pixel_values"][0]  # fmt: skip
        return prepared.astype(np.float32)

    def encode(self, batch: list[Vectors]) -> Vectors:
        """`[B, width]`."""
        import torch

        pixels = torch.from_numpy(np.stack(batch)).to(self._model.device)
        return _pooled(self._model.get_image_features, {"pixel_values": pixels})


@cache
def _both(setting: str, model: str, device: str) -> Any:
    return transformers_model(setting, model, device)


def _width(model: Any) -> int:
    """The width of the shared space."""
    config = model.config
    return int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)


def _pooled(network: Any, inputs: dict[str, Any]) -> Vectors:
    """Unit vectors `[B, width]` of what a half gives out."""
    import torch

    with torch.inference_mode():
        pooled = network(**inputs).pooler_output
    vectors: Vectors = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
    return vectors

"""Image encoders: any timm network, or colour and gradient statistics that need no weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from recsys import durable
from recsys.errors import InputFault
from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.media import MediaLimits, limits_digest
from recsys.features.pretrained import missing_model
from recsys.offline import stay_offline

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
CELLS, HUES, DIRECTIONS = 4, 12, 8


class ImageStatistics:
    """Colour means and deviations on a 4 x 4 grid, a hue histogram, gradient statistics per scale.

    The untrained stand-in of the sample shop: it sees colour, pattern direction and coarseness, no
    objects.
    """

    modality = "image"

    def __init__(self, side: int, limits: MediaLimits) -> None:
        self._side = side
        self._limits = limits
        self.width = 2 * 3 * CELLS * CELLS + HUES + 3 * (DIRECTIONS + 2)
        self.fingerprint = f"image-statistics-2-{side}-{limits_digest(limits)}"

    def load(self, source: str | Path) -> Pixels:
        """RGB `[side, side, 3]`."""
        return confined.load(Path(source), Wanted("image", self._side), self._limits)

    def prepare(self, pixels: Pixels) -> Pixels:
        """RGB `[height, width, 3]` to `[side, side, 3]`."""
        picture = Image.fromarray(pixels)
        return np.asarray(picture.resize((self._side, self._side), Image.Resampling.BOX))

    def encode(self, batch: list[Pixels]) -> Vectors:
        """`[B, width]`."""
        pixels = np.stack(batch).astype(np.float32) / 255.0
        parts = [_grid(pixels), _hues(pixels), *(_gradients(pixels, step) for step in (1, 2, 4))]
        return np.concatenate(parts, axis=1).astype(np.float32)


class TimmImage:
    """A timm network without its head; timm's own preprocessing unless the settings say otherwise.

    Args:
        name: of the architecture, or a `hf-hub:` name.
        weights: a local safetensors file, `random` for seeded random ones, or empty for timm's.
        options: overrides of the data config (side, mean, std) and of the model (pad_type).
        limits: of the images.
        device: torch device.

    Raises:
        InputFault: unknown architecture, or weights that are missing or do not fit.
    """

    modality = "image"

    def __init__(
        self, name: str, weights: str, options: dict[str, Any], limits: MediaLimits, device: str
    ) -> None:
        stay_offline()
        import timm
        import torch

        self._limits = limits
        self._device = device
        model_options = {k: options[k] for k in ("pad_type",) if options.get(k)}
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.network = timm.create_model(
                    name, pretrained=not weights, num_classes=0, **model_options
                )
            if weights not in ("", "random"):
                self.network.load_state_dict(_weights(Path(weights), self.network))
        except Exception as error:
            named = f"{name} {weights}".strip()
            raise missing_model("features.image.model", named, error) from None
        self.network = self.network.eval().to(device, memory_format=torch.channels_last)
        config = timm.data.resolve_model_data_config(self.network)
        config |= {k: tuple(options[k]) for k in ("mean", "std") if options.get(k)}
        if options.get("side"):
            config |= {"input_size": (3, options["side"], options["side"]), "crop_pct": 1.0}
        self._transform = timm.data.create_transform(**config, is_training=False)
        with torch.inference_mode():  # some networks end in a layer wider than their num_features
            probe = self.network(torch.zeros(1, *config["input_size"], device=device))
        self.width = int(probe.shape[1])
        source = durable.sha256(Path(weights))[:16] if weights not in ("", "random") else weights
        shape = {
            k: str(config[k]) for k in ("input_size", "mean", "std", "interpolation", "crop_pct")
        }
        self.fingerprint = (
            f"timm-2-{_short(f'{name} {source} {shape} {model_options} {limits_digest(limits)}')}"
        )

    def load(self, source: str | Path) -> Any:
        """The preprocessed image, a tensor `[3, side, side]`."""
        return self.prepare(confined.load(Path(source), Wanted("image"), self._limits))

    def prepare(self, pixels: Pixels) -> Any:
        """RGB `[height, width, 3]` to the network's input."""
        return self._transform(Image.fromarray(pixels))

    def encode(self, batch: list[Any]) -> Vectors:
        """`[B, width]`."""
        import torch

        with torch.inference_mode():
            vectors: Vectors = self.vectors(batch).cpu().numpy()
        return vectors

    def vectors(self, batch: list[Any]) -> "Tensor":
        """`[B, width]`, with gradients."""
        import torch

        stacked = torch.stack(batch).to(self._device, memory_format=torch.channels_last)
        made: Tensor = self.network(stacked).float()
        return made

    def save(self, folder: Path) -> dict[str, str]:
        """Writes the weights below `folder`; returns the setting that names them there."""
        from safetensors.torch import save_file

        weights = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        save_file(weights, folder / "image.safetensors")
        return {"weights": "image.safetensors"}


def _weights(path: Path, model: Any) -> dict[str, Any]:
    """Weights of a safetensors file for a headless model, cast to float32; the head is left out."""
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputFault(
            "the weights file does not exist", value=str(path), where="features.image.weights",
            fix="name an existing .safetensors file",
        )  # fmt: skip
    wanted = model.state_dict()
    found = {name: value.float() for name, value in load_file(path).items() if name in wanted}
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):
            found.setdefault(name, value)
    return found


def _short(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _grid(pixels: Vectors) -> Vectors:
    count, side = len(pixels), pixels.shape[1] // CELLS
    cells = pixels[:, : CELLS * side, : CELLS * side].reshape(count, CELLS, side, CELLS, side, 3)
    mean, spread = cells.mean(axis=(2, 4)), cells.std(axis=(2, 4))
    return np.concatenate([mean.reshape(count, -1), spread.reshape(count, -1)], axis=1)


def _hues(pixels: Vectors) -> Vectors:
    """Histogram of hues weighted by chroma."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    chroma = pixels.max(axis=-1) - pixels.min(axis=-1)
    place = np.minimum(((angle / (2 * np.pi) + 0.5) * HUES).astype(int), HUES - 1)
    flat = place + HUES * np.arange(len(pixels))[:, None, None]
    sums = np.bincount(flat.ravel(), chroma.ravel(), HUES * len(pixels))
    return (sums.reshape(len(pixels), HUES) / pixels[0, ..., 0].size).astype(np.float32)


def _gradients(pixels: Vectors, step: int) -> Vectors:
    """Directions, mean and spread of brightness differences over `step` pixels."""
    grey = pixels.mean(axis=-1)
    across = grey[:, :-step, step:] - grey[:, :-step, :-step]
    down = grey[:, step:, :-step] - grey[:, :-step, :-step]
    size = np.hypot(across, down)
    angle = np.mod(np.arctan2(down, across), np.pi) / np.pi  # a stripe has no sign
    place = np.minimum((angle * DIRECTIONS).astype(int), DIRECTIONS - 1)
    flat = place + DIRECTIONS * np.arange(len(pixels))[:, None, None]
    sums = np.bincount(flat.ravel(), size.ravel(), DIRECTIONS * len(pixels))
    directions = sums.reshape(len(pixels), DIRECTIONS) / grey[0].size
    moments = np.stack([size.mean(axis=(1, 2)), size.std(axis=(1, 2))], axis=1)
    return np.concatenate([directions, moments], axis=1).astype(np.float32)

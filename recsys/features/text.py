"""Text encoders: any transformers sentence model, or hashed word counts that need no model."""

import itertools
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.features import words as cleaning
from recsys.features.media import MediaFault
from recsys.features.pretrained import tokenizer, transformers_model, weights_digest

if TYPE_CHECKING:
    from torch import Tensor

Vectors = npt.NDArray[np.float32]
# Chinese, Japanese and Korean have no spaces: each sign is a token, and pairs make the words.
SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{SIGNS}]|[^\W{SIGNS}]+|[\u2600-\u27bf\U0001f000-\U0001faff]")
MAX_TOKENS = 256
MAX_CHARACTERS = 8 * MAX_TOKENS  # what lies behind is cut before it is tokenised


class HashedText:
    """Counts of hashed words and word pairs, square-rooted, of length 1. Knows no synonyms.

    Feature hashing with signs after Weinberger et al. (2009); the hash is CRC-32, the same on every
    machine and for ever.
    """

    modality = "text"

    def __init__(self, width: int) -> None:
        self.width = width
        self.fingerprint = f"hashed-text-2-{width}"

    def load(self, source: str | Path) -> str:
        """The cleaned text, cut. Raises `MediaFault`: nothing visible is left."""
        return visible(source)

    def encode(self, batch: list[str]) -> Vectors:
        """`[B, width]`."""
        vectors = np.zeros((len(batch), self.width), np.float32)
        for row, text in enumerate(batch):
            words = tokens(text)
            for gram in (*words, *(" ".join(pair) for pair in itertools.pairwise(words))):
                code = zlib.crc32(gram.encode())
                vectors[row, code % self.width] += 1.0 if code & 0x80000000 else -1.0
        vectors = np.sign(vectors) * np.sqrt(np.abs(vectors))
        return unit(vectors)


class TransformerText:
    """A transformers encoder with masked mean pooling and vectors of length 1.

    Args:
        model: a hub name or a local folder.
        device: torch device.

    Raises:
        InputFault: the model is not there and cannot be had.
    """

    modality = "text"

    def __init__(self, model: str, device: str) -> None:
        self.network = transformers_model("features.text.model", model, device)
        self._tokenizer = tokenizer("features.text.model", model)
        self.width = int(self.network.config.hidden_size)
        self.fingerprint = f"transformer-text-2-{MAX_TOKENS}-{weights_digest(model, self.network)}"

    def load(self, source: str | Path) -> str:
        """The cleaned text, cut. Raises `MediaFault`: nothing visible is left."""
        return visible(source)

    def encode(self, batch: list[str]) -> Vectors:
        """`[B, width]`."""
        import torch

        with torch.inference_mode():
            vectors: Vectors = self.vectors(batch).cpu().numpy()
        return vectors

    def vectors(self, batch: list[str]) -> "Tensor":
        """`[B, width]`, with gradients."""
        import torch

        read = self._tokenizer(
            batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.network.device)
        states = self.network(**read).last_hidden_state
        mask = read["attention_mask"].unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return torch.nn.functional.normalize(pooled.float(), dim=-1)

    def save(self, folder: Path) -> dict[str, str]:
        """Writes both below `folder`; returns the setting that names them there."""
        self.network.save_pretrained(folder / "text")
        self._tokenizer.save_pretrained(folder / "text")
        return {"model": "text"}


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Rows of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def tokens(text: str, fold: bool = True) -> list[str]:
    """Words and single signs of a cleaned text; `fold` makes cases alike."""
    text = text.casefold() if fold else text
    return WORD.findall(text) or text.split()


def visible(source: str | Path) -> str:
    """The text that an encoder reads: cut first, so that a huge one costs nothing.

    Raises:
        MediaFault: nothing visible is left.
    """
    text = cleaning.clean(str(source)[: 4 * MAX_CHARACTERS])[:MAX_CHARACTERS]
    if not text:
        raise MediaFault("blank", "the text has no visible character")
    return text

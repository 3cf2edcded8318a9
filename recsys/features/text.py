"""Text encoders: any transformers sentence model, or hashed word counts that need no model."""

import hashlib
import itertools
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys import durable
from recsys.errors import InputFault
from recsys.features import words
from recsys.features.media import MediaFault

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
        return _visible(source)

    def encode(self, batch: list[str]) -> Vectors:
        """`[B, width]`."""
        vectors = np.zeros((len(batch), self.width), np.float32)
        for row, text in enumerate(batch):
            folded = text.casefold()
            tokens = WORD.findall(folded) or folded.split()
            for gram in (*tokens, *(" ".join(pair) for pair in itertools.pairwise(tokens))):
                code = zlib.crc32(gram.encode())
                vectors[row, code % self.width] += 1.0 if code & 0x80000000 else -1.0
        vectors = np.sign(vectors) * np.sqrt(np.abs(vectors))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


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
        from transformers import AutoModel, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
            self._model: Any = AutoModel.from_pretrained(
                model, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, ImportError) as error:
            raise missing_model("text", model, error) from None
        self._model = self._model.eval().to(device)
        self.width = int(self._model.config.hidden_size)
        self.fingerprint = f"transformer-text-2-{MAX_TOKENS}-{weights_digest(model, self._model)}"

    def load(self, source: str | Path) -> str:
        """The cleaned text, cut. Raises `MediaFault`: nothing visible is left."""
        return _visible(source)

    def encode(self, batch: list[str]) -> Vectors:
        """`[B, width]`."""
        import torch

        tokens = self._tokenizer(
            batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self._model.device)
        with torch.inference_mode():
            states = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        vectors: Vectors = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
        return vectors


def _visible(source: str | Path) -> str:
    """The text that an encoder reads: cut first, so that a huge one costs nothing."""
    text = words.clean(str(source)[: 4 * MAX_CHARACTERS])[:MAX_CHARACTERS]
    if not text:
        raise MediaFault("blank", "the text has no visible character")
    return text


def missing_model(what: str, model: str, error: BaseException) -> InputFault:
    """The one message for a model that cannot be loaded: where to get it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return InputFault(
        f"the {what} model cannot be loaded: {lines[0][:160]}",
        value=model,
        where=f"features.{what}.model",
        fix="name a local folder with config.json and model.safetensors, or download the hub model "
        "once where there is a network (`hf download NAME --local-dir DIR`) and name that folder",
    )


def weights_digest(model: str, loaded: Any) -> str:
    """Identifies weights (16 hex digits): by their files where they are local, else by values."""
    digest = hashlib.sha256()
    files: list[Path] = []
    if Path(model).is_dir():
        patterns = ("*.safetensors", "*.json", "*.txt", "*.model")  # the tokenizer decides too
        files = sorted(path for pattern in patterns for path in Path(model).glob(pattern))
    for path in files:
        digest.update(durable.sha256(path).encode())
    if not files:
        for name, value in loaded.state_dict().items():
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]

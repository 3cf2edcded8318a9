"""Text as TF-IDF and SVD: what is telling about a text by the catalogue it stands in.

Fitted once, on the catalogue's texts; what it learned is kept as plain files, so that later texts
and searches are read the same way. Called by `encoders`; the pipelines keep the files.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys import durable
from recsys.errors import InputFault
from recsys.features.media import MediaFault
from recsys.features.text import tokens, unit, visible

Vectors = npt.NDArray[np.float32]
TERMS, WEIGHTS = "terms.json", "weights.safetensors"
MOST_TERMS = 50_000
LEAST_TEXTS = 2  # a term of a single text says nothing about others, and may be a name


def fit(texts: Iterable[str], width: int, folder: Path) -> None:
    """Learns terms, their rarity and the directions in which texts differ most; writes two files.

    TF-IDF with 1 + log counts and smoothed rarity (Salton and Buckley, 1988), then a truncated SVD
    (latent semantic analysis, Deerwester et al., 1990).

    Args:
        texts: distinct texts of the catalogue.
        width: D at most; fewer where texts or terms are few.
        folder: existing.

    Raises:
        InputFault: no two texts share a word.
    """
    from safetensors.numpy import save_file
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer=lambda text: tokens(visible(text)), sublinear_tf=True, min_df=LEAST_TEXTS,
        max_features=MOST_TERMS,
    )  # fmt: skip
    try:
        matrix = vectorizer.fit_transform([text for text in texts if _readable(text)])
    except ValueError:
        matrix = np.zeros((0, 0))
    if min(matrix.shape) < 2:
        raise InputFault(
            "there is too little text for TF-IDF: no words that several texts share",
            where="features.text.encoder", fix="set hashed",
        )  # fmt: skip
    svd = TruncatedSVD(min(width, *(side - 1 for side in matrix.shape)), random_state=0)
    svd.fit(matrix)
    durable.write_json(folder / TERMS, list(vectorizer.get_feature_names_out()))
    directions = np.ascontiguousarray(svd.components_.T, np.float32)
    rarity = vectorizer.idf_.astype(np.float32)
    save_file({"directions": directions, "rarity": rarity}, folder / WEIGHTS)


class TfidfText:
    """Texts by the state that `fit` wrote: vectors of length 1.

    Args:
        folder: with the two files.

    Raises:
        InputFault: they are missing or damaged.
    """

    modality = "text"

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file

        try:
            terms: list[str] = json.loads((folder / TERMS).read_text(encoding="utf-8"))
            weights: dict[str, Any] = load_file(folder / WEIGHTS)
            self._directions, self._rarity = weights["directions"], weights["rarity"]
            if not len(terms) == len(self._directions) == len(self._rarity):
                raise ValueError("terms and weights are of different models")
        except Exception as error:  # damaged files raise many kinds
            raise InputFault(
                f"what TF-IDF learned cannot be read: {str(error)[:160]}", where=str(folder),
                fix="remove that folder; `recsys encode` learns it again, then `recsys train`",
            ) from None  # fmt: skip
        self._rows = {term: row for row, term in enumerate(terms)}
        self.width = int(self._directions.shape[1])
        digest = durable.sha256(folder / TERMS)[:8] + durable.sha256(folder / WEIGHTS)[:8]
        self.fingerprint = f"tfidf-1-{digest}"

    def load(self, source: str | Path) -> Counter[int]:
        """How often each known term stands in a text.

        Raises:
            MediaFault: nothing visible is left, or no term is known.
        """
        known = Counter(
            row for t in tokens(visible(source)) if (row := self._rows.get(t)) is not None
        )
        if not known:
            raise MediaFault("no_known_word", "the catalogue's texts share no word of this one")
        return known

    def encode(self, batch: list[Counter[int]]) -> Vectors:
        """`[B, width]`."""
        return unit(np.stack([self._one(counts) for counts in batch]))

    def _one(self, counts: Counter[int]) -> Vectors:
        rows = np.fromiter(counts.keys(), np.int64)
        weights = (1 + np.log(np.fromiter(counts.values(), np.float32))) * self._rarity[rows]
        vector: Vectors = weights / np.linalg.norm(weights) @ self._directions[rows]
        return vector


def _readable(text: str) -> bool:
    try:
        visible(text)
    except MediaFault:
        return False
    return True

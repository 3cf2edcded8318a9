"""Text as the mean of ready-made word vectors, from a file in the text format of word2vec or GloVe.

The format is read directly: one word and D numbers a line, with or without a first line that counts
words and D. A binary or pickled model is not opened.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from recsys import durable
from recsys.errors import InputFault
from recsys.features.media import MediaFault
from recsys.features.pretrained import missing_model
from recsys.features.text import tokens, unit, visible

Vectors = npt.NDArray[np.float32]
MOST_WORDS = 200_000  # the first ones: files are sorted by frequency
SETTING = "features.text.model"


class WordVectors:
    """The mean of the unit vectors of a text's words, of length 1; unknown words are passed over.

    Args:
        file: in word2vec's or GloVe's text format, UTF-8.

    Raises:
        InputFault: it is missing, or a line is not a word and D finite numbers.
    """

    modality = "text"

    def __init__(self, file: str) -> None:
        path = Path(file)
        try:
            self._rows, self._vectors = read(path)
            digest = durable.sha256(path)[:16]
        except (OSError, UnicodeDecodeError) as error:
            raise missing_model(SETTING, file, error) from None
        self.width = int(self._vectors.shape[1])
        self.fingerprint = f"word-vectors-1-{MOST_WORDS}-{digest}"

    def load(self, source: str | Path) -> list[int]:
        """Rows of the words that are known.

        Raises:
            MediaFault: nothing visible is left, or no word is known.
        """
        words = tokens(visible(source), fold=False)
        rows = [self._rows.get(word, self._rows.get(word.casefold(), -1)) for word in words]
        known = [row for row in rows if row >= 0]
        if not known:
            raise MediaFault("no_known_word", "the word vectors know no word of the text")
        return known

    def encode(self, batch: list[list[int]]) -> Vectors:
        """`[B, width]`."""
        means = np.stack([self._vectors[rows].mean(axis=0) for rows in batch])
        return unit(means)


def read(path: Path) -> tuple[dict[str, int], Vectors]:
    """Words and their vectors `[n, D]`, each of length 1; of repeated words the first counts.

    Raises:
        InputFault: a line is not a word and D finite numbers, or there is none.
    """
    rows: dict[str, int] = {}
    vectors: list[Vectors] = []
    with path.open(encoding="utf-8") as stream:
        for line, parts in _lines(stream):
            width = len(vectors[0]) if vectors else len(parts) - 1
            vector = _parsed(parts[-width:]) if 0 < width < len(parts) else None
            if vector is None:
                raise _fault(path, line, f"not a word and {max(width, 1)} numbers", parts[0])
            word = " ".join(parts[:-width])
            if word not in rows:
                rows[word] = len(vectors)
                vectors.append(vector)
            if len(rows) == MOST_WORDS:
                break
    if not vectors:
        raise _fault(path, 1, "it holds no word", "")
    return rows, unit(np.stack(vectors))


def _lines(stream: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Number and parts of each line; a first line of two counts is left out."""
    for number, line in enumerate(stream, 1):
        parts = line.split()
        if parts and not (number == 1 and len(parts) == 2 and parts[0].isdecimal()):
            yield number, parts


def _parsed(numbers: list[str]) -> Vectors | None:
    try:
        vector = np.array(numbers, np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None


def _fault(path: Path, line: int, what: str, value: str) -> InputFault:
    return InputFault(
        f"the word vectors cannot be read: {what}", value=value[:80], where=f"{path}: line {line}",
        fix="name a file in the text format of word2vec or GloVe",
    )  # fmt: skip

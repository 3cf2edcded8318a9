"""How the index of a moment comes about: it is made, or one that was kept is opened.

Used by recommend.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys import __version__
from recsys.data.histories import Histories
from recsys.serving import index_tuning
from recsys.serving.index_parts import FAISS, Rows, Vectors
from recsys.serving.index_settings import IndexSettings
from recsys.serving.index_tuning import Choice
from recsys.settings import fingerprint

Make = Callable[[IndexSettings], Choice]
# what decides a choice, the catalogue's checksum, the settings, what makes it -> the choice
Keeper = Callable[[str, str, IndexSettings, Make], Choice]


@dataclass(frozen=True)
class Indexing:
    """How an index is made.

    Attributes:
        sample: some hundred of the users who will ask; what an index is tuned and measured on.
            Without it, `auto` is exact.
        aside: folder in which a large index lies, in files without names; None for memory.
        kept: opens an index of before instead of making it, or keeps the one that it lets make;
            not asked for exact search.
    """

    sample: Histories | None = None
    aside: Path | None = None
    kept: Keeper | None = None

    def choice(
        self, vectors: Vectors, rows: Rows, checksum: str, settings: IndexSettings,
        queries: Vectors, k: int,
    ) -> Choice:  # fmt: skip
        """An index; arguments and faults are those of `index_tuning.measured`."""

        def make(wanted: IndexSettings) -> Choice:
            given = (vectors, rows, checksum, wanted, queries, k)
            return index_tuning.measured(*given, self.aside)

        if self.kept is None or settings.kind == "exact":
            return make(settings)
        return self.kept(_key(vectors, rows, settings, queries, k), checksum, settings, make)


def _key(vectors: Vectors, rows: Rows, settings: IndexSettings, queries: Vectors, k: int) -> str:
    """A hash over all that decides a choice, 16 hex digits."""
    digest = hashlib.sha256(f"{fingerprint(settings)} {k} {__version__} {FAISS}".encode())
    for array in (vectors, rows, queries):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]

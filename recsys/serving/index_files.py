"""An index as files of a published folder: written, and read whole or mapped into memory."""

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from recsys import durable
from recsys.errors import InputFault, MismatchFault
from recsys.serving.exact import Exact
from recsys.serving.index import METRIC, REFINED, Index, IndexSettings

FILE, DESCRIPTION = "index.faiss", "index.json"


def write(index: Index, folder: Path, model: str) -> None:
    """Writes the index into an existing folder, usually one that is being published.

    Args:
        index: as built.
        folder: an existing one.
        model: content of the model that made its vectors.
    """
    built = index._index
    if isinstance(built, Exact):
        built = faiss.IndexFlatIP(index.width)
        built.add(index._index.vectors)
    faiss.write_index(built, str(folder / FILE))
    np.save(folder / "rows.npy", index.rows, allow_pickle=False)
    description = {
        "metric": METRIC,
        "width": index.width,
        "items": len(index),
        "vocabulary": index.checksum,
        "model": model,
        "bytes": (folder / FILE).stat().st_size,
        "settings": index.settings.model_dump(),
    }
    durable.write_json(folder / DESCRIPTION, description)


def read(folder: Path, checksum: str, model: str, mapped: bool = False) -> Index:
    """Reads an index; check the folder's manifest before.

    Args:
        folder: it was written to.
        checksum: of the catalogue's vocabulary.
        model: content of the model that makes the queries.
        mapped: leave it on disk and read what searches need, for one larger than memory.

    Raises:
        InputFault: a file is missing or damaged, or longer than it was.
        MismatchFault: it belongs to another catalogue, model or metric, or its parts do not fit.
    """
    path = folder / FILE
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        rows = np.load(folder / "rows.npy", allow_pickle=False)
        if path.stat().st_size != described["bytes"]:  # faiss would not look at what follows
            raise ValueError(f"{path.stat().st_size} bytes instead of {described['bytes']}")
        # a damaged header may claim a terabyte; no index is larger than twice its file
        faiss.set_deserialization_vector_byte_limit(max(1 << 20, 2 * path.stat().st_size))
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        settings = IndexSettings.model_validate(described["settings"])
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputFault(
            f"the index cannot be read: {str(error)[:200]}", where=str(path), fix="build it again"
        ) from None
    odd = described.get("width", 0) % 2 if settings.kind in REFINED else 0  # padded to pairs
    facts = {
        "metric": (described.get("metric"), METRIC),
        "vocabulary": (described.get("vocabulary"), checksum),
        "model": (described.get("model"), model),
        "items": (index.ntotal, len(rows)),
        "width": (index.d, described.get("width", 0) + odd),
        "measure": (index.metric_type, faiss.METRIC_INNER_PRODUCT),
    }
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise MismatchFault(
                f"the index does not fit: {name}", value=f"{found} instead of {wanted}",
                where=str(folder), fix="build it again for this model and catalogue",
            )  # fmt: skip
    if settings.kind == "exact":
        flat: Any = index
        vectors = faiss.rev_swig_ptr(flat.get_xb(), index.ntotal * index.d)
        read = Exact(vectors.reshape(index.ntotal, index.d).copy())
        return Index(rows, described["width"], checksum, settings, read)
    return Index(rows, described["width"], checksum, settings, index)

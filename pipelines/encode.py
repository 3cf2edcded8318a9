"""`recsys encode`: what is new in the catalogue into the stores; and item features from them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pipelines import inputs
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys.data import catalogue
from recsys.errors import UsageFault
from recsys.features import attributes, encoders
from recsys.features import encode as filling
from recsys.features import store as stores
from recsys.features.encoders import Encoder, Modality
from recsys.features.store import Store
from recsys.models.item_features import ItemFeatures
from recsys.vocabulary import Vocabulary

Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
PIECES = 8  # pictures or clips of an item that attention weighs; further ones are not read


def run(settings: Settings, run: Run) -> dict[str, Any]:
    """Encodes texts, images and clips of the live catalogue that have no vector yet."""
    found = inputs.load(settings)
    with run.timed("encode"):
        rows = fill(settings, found)
    run.facts["encode"] = rows
    lines = [
        f"{row['modality']}: {row['encoded']:,} encoded, {row['resumed']:,} taken from a run that "
        f"was interrupted, {row['reused']:,} reused, {row['failed']:,} failed; {row['store']}"
        for row in rows
    ]
    reasons = [
        f"  {row['modality']} {code}: {count:,}"
        for row in rows
        for code, count in row["reasons"].items()
    ]
    return {"text": "\n".join([*lines, *reasons]), "modalities": rows}


def fill(settings: Settings, found: Inputs) -> list[dict[str, Any]]:
    """Fills the store of every modality; one row of counts each."""
    rows = []
    for modality in encoders.MODALITIES:
        encoder = encoders.build(modality, settings.features)
        if encoder is None:
            continue
        sources = sources_of(modality, found.items, Path(settings.data.folder))
        size = encoders.batch_size(modality, settings.features)
        store = _store(settings, modality, encoder, heal=True)
        done = filling.fill(store, encoder, sources, size, settings.features.decoders)
        reasons: dict[str, int] = {}
        for code, _ in done.store.failures.values():
            reasons[code] = reasons.get(code, 0) + 1
        rows.append(
            {
                "modality": modality,
                "store": str(store.root / store.name),
                "width": encoder.width,
                "encoded": done.encoded,
                "resumed": done.resumed,
                "reused": done.reused,
                "failed": done.failed,
                "reasons": reasons,
            }
        )
    return rows


def sources_of(modality: Modality, items: pl.DataFrame, folder: Path) -> dict[str, str | Path]:
    """Content key -> what is to be encoded, for every text or media file of the catalogue."""
    if modality == "text":
        texts = items.filter(pl.col("text_hash").is_not_null())
        return dict(zip(texts["text_hash"], texts["text"], strict=True))
    pairs = items.select(modality, f"{modality}_hash").explode(modality, f"{modality}_hash")
    return {
        key: folder / path
        for path, key in pairs.iter_rows()
        if key is not None and path is not None
    }


def fit_attributes(settings: Settings, found: Inputs, known: Mask) -> dict[str, Any]:
    """The attribute encoder's state, from the items that training knows."""
    return attributes.fit(found.items.filter(pl.Series(known)), settings.features.attributes)


def item_features(
    settings: Settings, found: Inputs, trained: Sequence[str], state: dict[str, Any]
) -> ItemFeatures:
    """Features of all items of the catalogue, as far as the stores have them.

    Args:
        settings: which modalities.
        found: the catalogue.
        trained: ids with a row in the model's id table, in its order.
        state: of the attribute encoder.
    """
    several = PIECES if settings.model.items.pooling == "attention" else 1
    parts: dict[str, tuple[Vectors, Mask]] = {}
    for modality in encoders.MODALITIES:
        encoder = encoders.build(modality, settings.features)
        if encoder is not None:
            store = _store(settings, modality, encoder)
            parts[modality] = _vectors(store, modality, found.items, several)
    if attributes.width(state):
        parts["attributes"] = attributes.encode(found.items, state)
    parts |= _ready_made(settings, found)
    table = Vocabulary(trained).rows(found.vocabulary.ids)
    present = np.stack([*(mask for _, mask in parts.values()), table >= 0], axis=1)
    return ItemFeatures(
        tuple(parts),
        {name: torch.from_numpy(vectors) for name, (vectors, _) in parts.items()},
        torch.from_numpy(present),
        torch.from_numpy(table),
    )


def content(settings: Settings) -> str:
    """Identifies the item features that the stores hold now (16 hex digits)."""
    digest = hashlib.sha256()
    for modality in encoders.MODALITIES:
        encoder = encoders.build(modality, settings.features)
        if encoder is not None:
            digest.update(f"{modality} {encoder.fingerprint} ".encode())
    for path in catalogue.ready_made(Path(settings.data.folder)).values():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _vectors(
    store: Store, modality: Modality, items: pl.DataFrame, several: int
) -> tuple[Vectors, Mask]:
    """Each item's vector: of its text, or the mean over its pictures or clips.

    Where an item may have `several` vectors: `[N, P, D]`, P the most that any has, its first ones.
    """
    if modality == "text":
        return store.read(items["text_hash"].fill_null("").to_list())
    keys = items.select(pl.int_range(pl.len()).alias("row"), key=f"{modality}_hash").explode("key")
    keys = keys.drop_nulls()
    vectors, present = store.read(keys["key"].to_list())
    rows, vectors = keys["row"].to_numpy()[present], vectors[present]
    counts = np.bincount(rows, minlength=len(items))
    most = min(several, int(counts.max(initial=1)))
    if most > 1:
        places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        pieces = np.full((len(items), most, store.width), np.nan, np.float32)
        first = places < most
        pieces[rows[first], places[first]] = vectors[first]
        return pieces, counts > 0
    total = np.zeros((len(items), store.width), np.float32)
    np.add.at(total, rows, vectors)
    mean = total / np.maximum(counts, 1)[:, None]
    return mean.astype(np.float32), counts > 0


def _ready_made(settings: Settings, found: Inputs) -> dict[str, tuple[Vectors, Mask]]:
    """Vectors of `features/NAME.parquet` for the names in the settings.

    Raises:
        UsageFault: the dataset folder has no such file.
    """
    paths = catalogue.ready_made(Path(settings.data.folder))
    for name in settings.features.ready_made:
        if name not in paths:
            raise UsageFault(
                "the dataset has no such ready-made vectors", value=name,
                where="features.ready_made",
                fix=f"one of {', '.join(paths) or '(none)'}; files stand in features/NAME.parquet",
            )  # fmt: skip
    return {
        name: catalogue.read_vectors(paths[name], found.vocabulary)
        for name in settings.features.ready_made
    }


def _store(
    settings: Settings, modality: Modality, encoder: Encoder, *, heal: bool = False
) -> Store:
    root = settings.root / "embeddings" / modality
    return stores.open_store(root, encoder.fingerprint, encoder.width, heal=heal)

"""`recsys encode`: what is new in the catalogue into the stores; and item features from them."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pipelines import inputs, sources
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys.data import catalogue
from recsys.errors import UsageFault, shown
from recsys.features import attributes, encoders
from recsys.features import encode as filling
from recsys.features.store import Store
from recsys.models.item_features import ItemFeatures
from recsys.progress import say
from recsys.vocabulary import Vocabulary

EXAMPLES = 3  # of files that cannot be used, by reason
Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
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
    return {"text": "\n".join(lines), "modalities": rows}


def fill(settings: Settings, found: Inputs) -> list[dict[str, Any]]:
    """Fills the store of every modality; one row of counts each."""
    rows = []
    for modality in encoders.MODALITIES:
        given = sources.of(settings, modality, found.items)
        sources.fit(settings, modality, given)
        encoder = sources.encoder(settings, modality)
        if encoder is None:
            continue
        size = encoders.batch_size(modality, settings.features)
        store = sources.store(settings, modality, encoder, heal=True)
        done = filling.fill(
            store, partial(sources.ready, settings, modality), given, size,
            settings.features.decoders, settings.engine,
            gpu=encoders.uses_gpu(modality, settings.features),
        )  # fmt: skip
        reasons: dict[str, int] = {}
        for code, _ in done.store.failures.values():
            reasons[code] = reasons.get(code, 0) + 1
        _warn(settings, modality, done.store, given)
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


def _warn(settings: Settings, modality: str, store: Store, given: Mapping[str, str | Path]) -> None:
    """Says which of the catalogue's sources have no vector: one line a reason, the first named."""
    failed: dict[str, list[str]] = {}
    for key, (code, message) in store.failures.items():
        if (source := given.get(key)) is not None:
            place = source.relative_to(settings.data.folder) if isinstance(source, Path) else source
            failed.setdefault(code, []).append(f"{shown(str(place))} ({message})")
    for code, places in failed.items():
        say(
            f"warning: {modality}: {len(places):,} cannot be encoded and are left out ({code}): "
            + ", ".join(places[:EXAMPLES])
        )


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
    places: dict[str, Rows] = {}
    for modality in encoders.MODALITIES:
        encoder = sources.encoder(settings, modality)
        if encoder is None:
            continue
        store = sources.store(settings, modality, encoder)
        if modality == "text":
            kept = store.places(found.items["text_hash"].fill_null("").to_list())
            vectors, places[modality] = _needed(store.vectors, kept)
        else:
            keys = sources.media(settings, modality, found.items)[1]
            vectors, places[modality] = pooled(store, keys, several)
        parts[modality] = vectors, places[modality] >= 0
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
        {name: torch.from_numpy(rows) for name, rows in places.items()},
    )


def content(settings: Settings) -> str:
    """Identifies the item features that the stores hold now (16 hex digits)."""
    digest = hashlib.sha256()
    for modality, fingerprint in sources.fingerprints(settings).items():
        digest.update(f"{modality} {fingerprint} ".encode())
    for path in catalogue.ready_made(Path(settings.data.folder)).values():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def pooled(store: Store, keys: pl.Series, several: int) -> tuple[Vectors, Rows]:
    """Means `[n, D]` over the pictures, clips or sounds of n items, and each item's row, or -1.

    Where an item may have `several` vectors: `[n, P, D]`, P the most that any has, its first ones.
    """
    each = keys.to_frame("key").with_row_index("row").explode("key").drop_nulls()
    kept = store.places(each["key"].to_list())
    present = kept >= 0
    rows, vectors = each["row"].to_numpy().astype(np.int64)[present], store.vectors[kept[present]]
    places, rows, counts = _numbered(rows, len(keys))
    most = min(several, int(counts.max(initial=1)))
    if most > 1:
        order = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        pieces = np.full((len(counts), most, store.width), np.nan, np.float32)
        first = order < most
        pieces[rows[first], order[first]] = vectors[first]
        return pieces, places
    total = np.zeros((len(counts), store.width), np.float32)
    np.add.at(total, rows, vectors)
    return (total / counts[:, None]).astype(np.float32), places


def _needed(vectors: Vectors, places: Rows) -> tuple[Vectors, Rows]:
    """Those of `vectors [n, D]` that stand at `places`, -1 for none, and where they stand now."""
    used = np.unique(places[places >= 0])
    if len(used) == len(vectors):
        return vectors, places
    return vectors[used], np.where(places >= 0, np.searchsorted(used, places), -1)


def _numbered(rows: Rows, count: int) -> tuple[Rows, Rows, Rows]:
    """Of ascending `rows` among `count`: places `[count]`, -1 for none; their places; how many."""
    there, numbers, counts = np.unique(rows, return_inverse=True, return_counts=True)
    places = np.full(count, -1, np.int64)
    places[there] = np.arange(len(there))
    return places, numbers, counts


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

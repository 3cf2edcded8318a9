"""Which encoder reads what of the catalogue, and where its vectors lie."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.settings import Settings
from recsys import artefacts
from recsys.features import encoders, tfidf
from recsys.features import store as stores
from recsys.features.encoders import MODALITIES, Encoder, Modality
from recsys.features.store import Store

FITTED = "fitted"  # kind of the artefact


def encoder(settings: Settings, modality: Modality) -> Encoder | None:
    """The encoder of a modality; None where the settings leave it out.

    Raises:
        InputFault: a model cannot be loaded, or nothing was encoded yet by an encoder that learns
            from the catalogue.
    """
    if not encoders.is_fitted(modality, settings.features):
        return encoders.build(modality, settings.features)
    root, name = _fitted(settings, modality)
    artefacts.read(root / name, FITTED)
    return encoders.build(modality, settings.features, root / name)


def fingerprints(settings: Settings) -> dict[str, str]:
    """What identifies the encoder of each modality that has one."""
    every = {modality: encoder(settings, modality) for modality in MODALITIES}
    return {name: one.fingerprint for name, one in every.items() if one is not None}


def ready(settings: Settings, modality: Modality) -> Encoder:
    """The encoder of a modality that the settings do not leave out."""
    made = encoder(settings, modality)
    assert made is not None
    return made


def of(settings: Settings, modality: Modality, items: pl.DataFrame) -> dict[str, str | Path]:
    """Content key -> what is to be encoded, for every text or media file of the catalogue."""
    if modality == "text":
        texts = items.filter(pl.col("text_hash").is_not_null())
        return dict(zip(texts["text_hash"], texts["text"], strict=True))
    paths, keys = media(settings, modality, items)
    folder = Path(settings.data.folder)
    return {
        key: folder / path
        for path, key in zip(paths.explode(), keys.explode(), strict=True)
        if key is not None and path is not None
    }


def media(
    settings: Settings, modality: Modality, items: pl.DataFrame
) -> tuple[pl.Series, pl.Series]:
    """Paths and content keys of each item's files; with `features.audio.from_clips` its clips'."""
    keys = pl.col(f"{modality}_hash")
    paths = pl.col(modality)
    if modality == "audio" and settings.features.audio.from_clips:
        silent = keys.list.len() == 0
        paths = pl.when(silent).then(pl.col("video")).otherwise(paths)
        keys = pl.when(silent).then(pl.col("video_hash")).otherwise(keys)
    frame = items.select(paths=paths, keys=keys)
    return frame["paths"], frame["keys"]


def fit(settings: Settings, modality: Modality, given: Mapping[str, str | Path]) -> None:
    """Lets an encoder that learns from the catalogue do so, once.

    Later texts are read by what it learned then: the vectors of a trained model stay what they are.
    """
    if not encoders.is_fitted(modality, settings.features):
        return
    root, name = _fitted(settings, modality)
    if (root / name).is_dir():
        return
    texts = [str(given[key]) for key in sorted(given)]
    with artefacts.publishing(root, name, FITTED, current=False) as staged:
        tfidf.fit(texts, settings.features.text.width, staged.folder)


def _fitted(settings: Settings, modality: Modality) -> tuple[Path, str]:
    """Where an encoder's learning lies, and its name there."""
    return settings.root / "fitted" / modality, f"tfidf-{settings.features.text.width}"


def store(settings: Settings, modality: Modality, encoder: Encoder, *, heal: bool = False) -> Store:
    """The store of a modality's vectors; `heal` as of `features.store.open_store`."""
    root = settings.root / "embeddings" / modality
    return stores.open_store(root, encoder.fingerprint, encoder.width, heal=heal)

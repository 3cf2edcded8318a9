"""Turned photos and single frames of a sample of the catalogue, encoded for pretraining."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from pipelines import sources
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys.errors import UsageFault
from recsys.features import arranged, encode
from recsys.features import store as stores
from recsys.features.arranged import ImageEncoder, RotatedPhotos, SingleFrames
from recsys.features.encoders import Encoder, Modality
from recsys.training.arrangement import SHOWN
from recsys.training.material import Arranged

Places = npt.NDArray[np.int64]


def photos(settings: Settings, found: Inputs, place: Places) -> Arranged | None:
    """Photos by quarter turns; None where the objective `rotation` is off or there is none.

    Args:
        settings: all of them.
        found: the catalogue.
        place: `[N]` each item's place among those that are learned from, or -1.

    Raises:
        UsageFault: nothing encodes pictures.
    """
    if not settings.pretrain.objectives.rotation:
        return None
    encoder = RotatedPhotos(_image(settings, "rotation"), settings.features.limits)
    batch = max(1, settings.features.image.batch // arranged.TURNS)
    return _encoded(settings, found, place, "image", encoder, batch, arranged.TURNS)


def frames(settings: Settings, found: Inputs, place: Places, like: Tensor) -> Arranged | None:
    """Clips by their frames; as `photos`, for the objective `order`.

    Frames of clips may look unlike photos all in all: they are brought to the mean and deviation of
    `like [n, D_m]`, so that what tells frames apart is as large as what tells photos apart.
    """
    if not settings.pretrain.objectives.order:
        return None
    video, limits = settings.features.video, settings.features.limits
    if video.frames < SHOWN:
        raise UsageFault(
            "too few frames of a clip to have an order", value=video.frames,
            where="features.video.frames", fix=f"at least {SHOWN}",
        )  # fmt: skip
    encoder = SingleFrames(_image(settings, "order"), video.frames, video.side, limits)
    batch = max(1, settings.features.image.batch // video.frames)
    made = _encoded(settings, found, place, "video", encoder, batch, video.frames)
    if made is None:
        return None
    flat = made.vectors.flatten(0, 1)
    deviation = flat.std(dim=0, correction=0)
    scaled = (made.vectors - flat.mean(dim=0)) / deviation.masked_fill(deviation == 0, 1.0)
    return Arranged(made.rows, scaled * like.std(dim=0, correction=0) + like.mean(dim=0))


def _image(settings: Settings, objective: str) -> ImageEncoder:
    encoder = sources.encoder(settings, "image")
    if encoder is None:
        raise UsageFault(
            "this objective needs an encoder of pictures", value=objective,
            where=f"pretrain.objectives.{objective}", fix="set features.image.encoder, or 0",
        )  # fmt: skip
    made: ImageEncoder = encoder  # type: ignore[assignment]  # all of them prepare pixels
    return made


def _encoded(
    settings: Settings, found: Inputs, place: Places, modality: Modality, encoder: Encoder,
    batch: int, each: int,
) -> Arranged | None:  # fmt: skip
    """At most `pretrain.sample` files of learned items, by the order of their content keys."""
    given = sources.of(settings, modality, found.items)
    keys = sources.media(settings, modality, found.items)[1]
    known = pl.DataFrame({"place": place, "key": keys}).filter(pl.col("place") >= 0)
    known = known.explode("key").drop_nulls().unique("key", keep="first", maintain_order=True)
    known = known.sort("key").head(settings.pretrain.sample)
    root = settings.root / "embeddings" / encoder.modality
    store = stores.open_store(root, encoder.fingerprint, encoder.width, heal=True)
    wanted = {key: Path(given[key]) for key in known["key"]}
    store = encode.fill(store, lambda: encoder, wanted, batch, settings.features.decoders).store
    vectors, present = store.read(known["key"].to_list())
    if not present.any():
        return None
    rows = torch.from_numpy(known["place"].to_numpy()[present])
    return Arranged(rows, torch.from_numpy(vectors[present]).view(len(rows), each, -1))

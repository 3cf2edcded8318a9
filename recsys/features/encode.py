"""Fills a store: decoding in processes beside the encoder, batch by batch, resumable after a kill.

Here one encoder works on all batches; on a Ray cluster one in each actor, a batch at a time.

The batches of a run are fixed before it starts (sorted keys, cut in order), and a restarted run
makes the same ones: the same inputs end in the same bytes, however often the run was killed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsys.engine import HERE, EngineSettings, Work, stream
from recsys.errors import Fault, ResourceFault
from recsys.features import store as stores
from recsys.features.decoding import decode
from recsys.features.encoders import Encoder
from recsys.features.media import MediaFault
from recsys.features.store import Batch, Store
from recsys.progress import track

Source = str | Path
Pairs = list[tuple[str, Source]]
AHEAD = 2  # batches decoded ahead of the encoder
TIMEOUT_SECONDS = 120.0  # above the limit of a clip, which is checked while it is decoded


@dataclass(frozen=True)
class Filled:
    """What a fill did: the store as published, and counts of keys."""

    store: Store
    encoded: int
    resumed: int
    reused: int
    failed: int


def fill(
    store: Store,
    encoder: Callable[[], Encoder],
    sources: Mapping[str, Source],
    batch: int,
    decoders: int,
    engine: EngineSettings = HERE,
    *,
    gpu: bool = False,
) -> Filled:
    """Encodes what the store lacks.

    Args:
        store: of this encoder's fingerprint.
        encoder: makes the encoder, in every process that encodes.
        sources: by content key: a text, or the path of a file whose sha256 the key is.
        batch: sources encoded at a time.
        decoders: threads of each process, each with a process that decodes.
        engine: where it is done.
        gpu: whether the encoder would use one.

    Raises:
        ResourceFault: the encoder fails on everything, the media store hangs, the disk is full.
    """
    missing = set(store.missing(sources))
    done = [found for found in stores.finished(store) if not _keys(found) & set(store.rows)]
    held = set().union(*map(_keys, done))
    plan = [left for keys in _plan(store, sources, batch) if (left := [*_without(keys, held)])]
    todo: list[Pairs] = [[(key, sources[key]) for key in keys] for keys in plan]
    batches = stream(partial(_ready, encoder, AHEAD * batch, decoders), todo, engine, gpu=gpu)
    made = []
    for new in track(batches, f"encode {store.root.name}", len(todo)):
        made.append(new)
        stores.keep(store, new)
    if made or done:
        store = stores.publish(store, [*done, *made])
    return Filled(
        store,
        encoded=sum(len(new.keys) for new in made),
        resumed=len(missing & held),
        reused=len(set(sources)) - len(missing),
        failed=sum(key not in store.rows for key in sources),
    )


def _ready(encoder: Callable[[], Encoder], ahead: int, decoders: int) -> Work[Pairs, Batch]:
    """What encodes batches of sources, with the encoder loaded."""
    made = encoder()

    def encoded(todo: Iterable[Pairs]) -> Iterator[Batch]:
        batches = list(todo)
        pairs = (pair for batch in batches for pair in batch)
        decoded = decode(made, pairs, ahead, decoders, TIMEOUT_SECONDS)
        for batch in batches:
            yield _encoded(made, [next(decoded) for _ in batch])

    return encoded


def _plan(store: Store, sources: Mapping[str, Source], batch: int) -> list[list[str]]:
    """Keys of each batch; texts stand by length, so that a batch has little padding."""
    keys = store.missing(sources)
    keys.sort(key=lambda key: len(text) if isinstance(text := sources[key], str) else 0)
    return [keys[start : start + batch] for start in range(0, len(keys), batch)]


def _without(keys: Sequence[str], held: set[str]) -> Iterator[str]:
    return (key for key in keys if key not in held)


def _encoded(encoder: Encoder, decoded: list[tuple[str, Any]]) -> Batch:
    """Vectors of a decoded batch; items that fail are named, and do not take others with them.

    Raises:
        ResourceFault: every item of several fails: it is not the items.
    """
    failures = [(k, x.code, str(x)) for k, x in decoded if isinstance(x, MediaFault)]
    good = [(k, x) for k, x in decoded if not isinstance(x, MediaFault)]
    rows, broken = _halved(encoder, good)
    if len(broken) == len(good) > 1:
        raise ResourceFault(
            "the encoder fails on every item of a batch", value=broken[0][2],
            where=f"features.{encoder.modality}",
            fix="see the value; a smaller batch or another device may help",
        )  # fmt: skip
    fine = [(key, vector) for key, vector in rows if np.isfinite(vector).all()]
    kept = tuple(key for key, _ in fine)
    broken += [(k, "not_finite", "the vector is not finite") for k, _ in rows if k not in kept]
    vectors = np.stack([v for _, v in fine]) if fine else np.zeros((0, encoder.width), np.float32)
    return Batch(kept, vectors, (*failures, *broken))


def _halved(
    encoder: Encoder, good: list[tuple[str, Any]]
) -> tuple[list[tuple[str, Any]], list[tuple[str, str, str]]]:
    """Encodes; where that fails, halves the batch until the culprit stands alone."""
    if not good:
        return [], []
    keys = [key for key, _ in good]
    try:
        vectors = encoder.encode([x for _, x in good])
        return list(zip(keys, vectors, strict=True)), []
    except Fault:
        raise
    except Exception as error:  # an encoder is foreign code on foreign data
        if len(good) == 1:
            memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
            code = "out_of_memory" if memory else "encoder"
            return [], [(keys[0], code, f"{type(error).__name__}: {str(error)[:200]}")]
    middle = len(good) // 2
    left, right = _halved(encoder, good[:middle]), _halved(encoder, good[middle:])
    return left[0] + right[0], left[1] + right[1]


def _keys(batch: Batch) -> set[str]:
    return {*batch.keys, *(key for key, _, _ in batch.failures)}

"""Fills a store: decoding in threads beside the encoder, batch by batch, resumable after a kill.

The batches of a run are fixed before it starts (sorted keys, cut in order), and a restarted run
makes the same ones: the same inputs end in the same bytes, however often the run was killed.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys.features import store as stores
from recsys.features.encoders import Encoder
from recsys.features.media import MediaFault
from recsys.features.store import Batch, Store
from recsys.progress import track

Source = str | Path
AHEAD = 2  # batches decoded ahead of the encoder


@dataclass(frozen=True)
class Filled:
    """What a fill did: the store as published, and counts of keys."""

    store: Store
    encoded: int
    resumed: int
    reused: int
    failed: int


def fill(
    store: Store, encoder: Encoder, sources: Mapping[str, Source], batch: int, decoders: int
) -> Filled:
    """Encodes what the store lacks.

    Args:
        store: of this encoder's fingerprint.
        encoder: that makes the vectors.
        sources: by content key: a text, or the path of a file.
        batch: sources encoded at a time.
        decoders: threads that decode.
    """
    missing = store.missing(sources)
    plan = [missing[start : start + batch] for start in range(0, len(missing), batch)]
    done = {
        number: found
        for number, found in stores.finished(store).items()
        if number < len(plan) and _keys(found) == set(plan[number])
    }
    resumed = sum(len(_keys(found)) for found in done.values())
    todo = [number for number in range(len(plan)) if number not in done]
    decoded = _decoded(
        encoder, [(plan[n], [sources[key] for key in plan[n]]) for n in todo], decoders
    )
    what = f"encode {encoder.modality}"
    for number, (keys, loaded) in track(zip(todo, decoded, strict=True), what, len(todo)):
        done[number] = _encoded(encoder, keys, loaded)
        stores.keep(store, number, done[number])
    reused = len(set(sources)) - len(missing)
    if plan:
        store = stores.publish(store, [done[number] for number in sorted(done)])
    failed = sum(key in store.failures for key in sources)
    return Filled(store, len(missing) - resumed, resumed, reused, failed)


def _decoded(
    encoder: Encoder, plan: Sequence[tuple[list[str], list[Source]]], decoders: int
) -> Iterator[tuple[list[str], list[Any]]]:
    """Keys and decoded sources of each batch; a `MediaFault` stands where decoding failed."""

    def load(source: Source) -> Any:
        try:
            return encoder.load(source)
        except MediaFault as fault:
            return fault

    pending: deque[tuple[list[str], list[Future[Any]]]] = deque()
    with ThreadPoolExecutor(decoders) as pool:
        for keys, sources in plan:
            pending.append((keys, [pool.submit(load, source) for source in sources]))
            if len(pending) > AHEAD:
                ready, futures = pending.popleft()
                yield ready, [future.result() for future in futures]
        while pending:
            ready, futures = pending.popleft()
            yield ready, [future.result() for future in futures]


def _encoded(encoder: Encoder, keys: list[str], loaded: list[Any]) -> Batch:
    """Vectors of a decoded batch; items that fail are named, and do not take others with them."""
    pairs = zip(keys, loaded, strict=True)
    failures = [(k, x.code, str(x)) for k, x in pairs if isinstance(x, MediaFault)]
    good = [(k, x) for k, x in zip(keys, loaded, strict=True) if not isinstance(x, MediaFault)]
    rows, more = _halved(encoder, good)
    vectors = np.stack([v for _, v in rows]) if rows else np.zeros((0, encoder.width), np.float32)
    return Batch(tuple(key for key, _ in rows), vectors, (*failures, *more))


def _halved(
    encoder: Encoder, good: list[tuple[str, Any]]
) -> tuple[list[tuple[str, Any]], list[tuple[str, str, str]]]:
    """Encodes; where that fails, halves the batch until the culprit stands alone."""
    if not good:
        return [], []
    try:
        vectors = encoder.encode([x for _, x in good])
    except (RuntimeError, ValueError, MemoryError) as error:
        if len(good) == 1:
            return [], [(good[0][0], "encoder", f"{type(error).__name__}: {str(error)[:200]}")]
        middle = len(good) // 2
        left, right = _halved(encoder, good[:middle]), _halved(encoder, good[middle:])
        return left[0] + right[0], left[1] + right[1]
    finite: list[bool] = [bool(np.isfinite(vector).all()) for vector in vectors]
    rows = [(key, v) for (key, _), v, fine in zip(good, vectors, finite, strict=True) if fine]
    bad = [
        (key, "not_finite", "the encoder's vector is not finite")
        for (key, _), fine in zip(good, finite, strict=True)
        if not fine
    ]
    return rows, bad


def _keys(batch: Batch) -> set[str]:
    return {*batch.keys, *(key for key, _, _ in batch.failures)}

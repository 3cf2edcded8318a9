"""Encoding beside its parts: `encode` against decoding alone and the network's forward pass alone.

    python benchmarks/encoding_speed.py [DATA] [--files 192] [--clips 12] [--threads 1 --decoders 1]

Posters of `DATA/movielens-1m` through the MobileNetV2 of `configs/movielens.toml`, and clips, made
of those of `DATA/clips`, through the same network over their frames and through motion statistics.
The three are timed in turn on the same files, with decoders that have already started: files a
second by the clock and by CPU seconds of this process and its decoders. `encode` fills a store as
the command does. Threads as the command has them unless said. Results in `README.md` here.
"""

import argparse
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from nightly_speed import print_spread

from pipelines.settings import Settings
from recsys import memory
from recsys.durable import sha256
from recsys.features import encode, encoders
from recsys.features import store as stores
from recsys.features.decoding import decode
from recsys.features.encoders import Encoder
from recsys.settings import load

CONFIG, ROUNDS = Path("configs/movielens.toml"), 3
Pairs = list[tuple[str, Path]]


def cpu_seconds() -> float:
    """Of this process, its threads and its children."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            ticks += (int(fields[11]) + int(fields[12])) * (int(fields[1]) == os.getpid())
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def timed(into: dict[str, float], name: str, files: int) -> Iterator[None]:
    """Files a second, by the clock and by CPU seconds."""
    begin, used = time.perf_counter(), cpu_seconds()
    yield
    into[name] = files / (time.perf_counter() - begin)
    into[f"{name}, CPU"] = files / (cpu_seconds() - used)


def turn(
    encoder: Encoder, pairs: Pairs, batch: int, folder: Path, decoders: int
) -> dict[str, float]:
    """Decoding, the network and both together, once each."""
    found: dict[str, float] = {}
    with timed(found, "decode", len(pairs)):
        ahead = encode.AHEAD * batch
        ready = [x for _, x in decode(encoder, pairs, ahead, decoders, encode.TIMEOUT_SECONDS)]
    with timed(found, "forward", len(pairs)):
        for start in range(0, len(ready), batch):
            encoder.encode(ready[start : start + batch])
    shutil.rmtree(folder, ignore_errors=True)
    store = stores.open_store(folder, encoder.fingerprint, encoder.width)
    with timed(found, "encode", len(pairs)):
        filled = encode.fill(store, lambda: encoder, dict(pairs), batch, decoders)
    assert filled.encoded == len(pairs)
    found["encode / slower part"] = found["encode"] / min(found["decode"], found["forward"])
    parts = 1 / found["decode, CPU"] + 1 / found["forward, CPU"]
    found["sum of the parts / encode, CPU"] = parts * found["encode, CPU"]
    return found


def posters(data: Path, count: int) -> Pairs:
    """Content keys and paths."""
    paths = sorted((data / "movielens-1m/media/posters").glob("*.jpg"))[:count]
    return [(sha256(path), path) for path in paths]


def clips(data: Path, count: int, folder: Path) -> Pairs:
    """The same of copies of the real clips, told apart by a box that players skip."""
    real = sorted(path for path in (data / "clips").iterdir() if path.suffix == ".mp4")
    made = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        content = real[number % len(real)].read_bytes()
        path.write_bytes(content + struct.pack(">I4sI", 12, b"free", number))
        made.append((sha256(path), path))
    return made


def main() -> None:
    """Prints medians and spreads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--files", type=int, default=192)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--threads", type=int, help="of the network; as they come without it")
    parser.add_argument("--decoders", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="sides that have this in their name")
    asked = parser.parse_args()
    memory.keep_freed()  # as every command does
    if asked.threads:
        torch.set_num_threads(asked.threads)

    def built(modality: encoders.Modality, *words: str) -> tuple[Any, int]:
        chosen = load(Settings, CONFIG, words).features
        return encoders.build(modality, chosen), encoders.batch_size(modality, chosen)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        moving = clips(asked.data, asked.clips, folder)
        sides: dict[str, Callable[[], tuple[tuple[Any, int], Pairs]]] = {
            "posters, MobileNetV2": lambda: (built("image"), posters(asked.data, asked.files)),
            "clips, MobileNetV2 over 16 frames": lambda: (
                built("video", "features.video.encoder=frames", "features.video.side=224"), moving,
            ),
            "clips, motion": lambda: (built("video", "features.video.encoder=motion"), moving),
        }  # fmt: skip
        for title, side in sides.items():
            if asked.only not in title:
                continue
            (encoder, batch), pairs = side()
            turn(encoder, pairs[:batch], batch, folder / "warm", asked.decoders)
            store = folder / "store"
            turns = [turn(encoder, pairs, batch, store, asked.decoders) for _ in range(ROUNDS)]
            who = f"{torch.get_num_threads()} threads, {asked.decoders} decoders"
            print(f"{title}: {len(pairs)} files, {who}, a second")
            print_spread(turns)


if __name__ == "__main__":
    main()

"""The process in which images, clips and sounds of strangers are decoded; begun by `confined`.

It gets the bytes of a file on stdin and gives back numbers on stdout. A hole in libjpeg or libav is
a hole here, where there is nothing to take: no network, no file can be opened or written, memory
and processor time are bounded, and the environment is empty.
"""

import contextlib
import ctypes
import importlib
import io
import json
import os
import pkgutil
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from recsys.features import clips, images, sounds
from recsys.features.media import READY, MediaFault, MediaLimits

Decoded = npt.NDArray[Any]
BYTES_PER_PIXEL = 64  # of the widest way to RGB, by eight-byte floats
SPARE_BYTES = 2**28
IDLE_SECONDS = 30
STREAMS = 3  # stdin, stdout, stderr
LINUX = sys.platform == "linux"
NEW_USER, NEW_NETWORK, NO_NEW_PRIVILEGES = 0x10000000, 0x40000000, 38
NOBODY = 65_534
MET_FIRST = (("JPEG", "RGB"), ("PNG", "I;16"), ("PNG", "RGBA"), ("GIF", "P"), ("WEBP", "RGB"))


def main() -> None:
    """Decodes what stdin asks for, one after the other, until it ends."""
    limits = MediaLimits.model_validate_json(sys.argv[1])
    isolate()
    warm_up(limits)
    confine(BYTES_PER_PIXEL * limits.max_pixels + 3 * limits.max_bytes + SPARE_BYTES)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(READY)
    sink.flush()
    while header := source.readline():
        signal.alarm(0)
        asked = json.loads(header)
        give_time(limits.timeout_seconds)
        _answer(sink, source.read(asked["bytes"]), asked, limits)
        signal.alarm(IDLE_SECONDS)  # nobody asks any more: this ends the process


def decoded(content: bytes, asked: Mapping[str, Any], limits: MediaLimits) -> Decoded:
    """A picture `[height, width, 3]`, a clip's frames `[count, side, side, 3]`, a sound's samples.

    Args:
        content: of the file.
        asked: as `confined.Wanted`.
        limits: beyond which nothing is decoded.

    Raises:
        MediaFault: it cannot be decoded, or is beyond the limits.
    """
    if asked["kind"] == "audio":
        return sounds.decode(content, asked["rate"], asked["seconds"], limits)
    if asked["kind"] == "video":
        return clips.decode(content, asked["count"], asked["side"], limits)
    pixels = images.decode(content, limits)
    if not asked["side"]:
        return pixels
    square = (asked["side"], asked["side"])
    return np.asarray(Image.fromarray(pixels).resize(square, Image.Resampling.BOX))


def isolate() -> None:
    """Leaves the network, where the kernel permits that; can gain no rights any more."""
    if LINUX:
        libc = ctypes.CDLL(None)
        libc.unshare(NEW_NETWORK if os.geteuid() == 0 else NEW_USER | NEW_NETWORK)
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def warm_up(limits: MediaLimits) -> None:
    """Lets PyAV and Pillow import what they import when something is first met."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    Image.init()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    for kind, mode in MET_FIRST:
        stream = io.BytesIO()
        Image.new(mode, (8, 8)).save(stream, kind, **({"exif": exif} if kind == "JPEG" else {}))
        images.decode(stream.getvalue(), limits)


def confine(memory_bytes: int) -> None:
    """From here on: no new file, socket, process or thread, nothing written, bounded memory."""
    ceilings = {
        resource.RLIMIT_NOFILE: STREAMS, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }  # fmt: skip
    if LINUX:  # elsewhere memory that is only reserved would count as used, or nothing would
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        ceilings[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory_bytes
    for kind, ceiling in ceilings.items():
        resource.setrlimit(kind, (ceiling, ceiling))
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a container may forbid it
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)


def give_time(seconds: float) -> None:
    """Lets the kernel end this process once it has computed for so long from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = round(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _answer(sink: IO[bytes], content: bytes, asked: Mapping[str, Any], limits: MediaLimits) -> None:
    told: dict[str, Any] = {}
    numbers: Decoded = np.zeros(0, np.uint8)
    try:
        numbers = np.ascontiguousarray(decoded(content, asked, limits))
        told["shape"] = numbers.shape
    except MediaFault as fault:
        told |= {"code": fault.code, "message": str(fault)[:300]}
    except MemoryError:
        told |= {"code": "out_of_memory", "message": "not enough memory to decode it"}
    except Exception as error:  # whatever a decoder does must not stop the next one
        told |= {"code": "undecodable", "message": f"{type(error).__name__}: {error}"[:300]}
    sink.write(json.dumps(told).encode() + b"\n")
    sink.write(numbers.data)
    sink.flush()


if __name__ == "__main__":
    main()

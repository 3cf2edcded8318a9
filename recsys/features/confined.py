"""Images, clips and sounds as numbers, decoded in confined processes, which run `decoder`.

Called by the encoders, the explorer and the report, from any thread: each thread that decodes has a
process to itself as long as it does. A process that dies or does not answer takes one file with it,
and nobody else's.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import recsys
from recsys.errors import ResourceFault
from recsys.features.media import READY, MediaFault, MediaLimits, read

Decoded = npt.NDArray[Any]  # pixels as uint8, samples as float32
WALL_SECONDS = 100.0  # that an answer may take, whatever else the machine does meanwhile
DYING_SECONDS = 1.0  # that it may take to end, once it answers no more
HEADER_BYTES = 4096
ENVIRONMENT = {
    "PYTHONPATH": str(Path(recsys.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}  # and nothing else: no token of anybody


@dataclass(frozen=True)
class Wanted:
    """What a file shall become.

    Attributes:
        kind: image, video or audio.
        side: pixels a side; 0 leaves an image as it is.
        count: F, frames of a clip.
        rate: samples a second of a sound.
        seconds: at most, of a sound.
    """

    kind: Literal["image", "video", "audio"]
    side: int = 0
    count: int = 1
    rate: int = 0
    seconds: float = 0.0

    @property
    def type(self) -> type[np.generic]:
        """Of the numbers of an answer."""
        return np.float32 if self.kind == "audio" else np.uint8

    def fits(self, shape: tuple[int, ...], limits: MediaLimits) -> bool:
        """Whether an answer of that shape is one to this question: the answer is not trusted."""
        if self.kind == "audio":
            return len(shape) == 1 and 0 < shape[0] <= self.rate * self.seconds
        if self.kind == "video":
            return shape == (self.count, self.side, self.side, 3)
        if self.side:
            return shape == (self.side, self.side, 3)
        good = len(shape) == 3 and shape[2] == 3 and min(shape) > 0
        return good and shape[0] * shape[1] <= limits.max_pixels


def load(path: Path, wanted: Wanted, limits: MediaLimits) -> Decoded:
    """A file's pixels `[height, width, 3]` RGB, frames `[F, side, side, 3]` or samples `[n]`.

    Raises:
        MediaFault: unreadable, not what it should be, beyond the limits, or it took its process
            with it.
        ResourceFault: no process can be started.
    """
    return decode(read(path, limits), wanted, limits)


def decode(content: bytes, wanted: Wanted, limits: MediaLimits) -> Decoded:
    """As `load`, from bytes."""
    process = _taken(limits) or _Process(limits)
    try:
        return process.ask(content, wanted)
    finally:
        if process.usable:
            _idle.setdefault(limits, []).append(process)
        else:
            process.end()


class _Process:
    """A process that decodes one file at a time, within limits."""

    def __init__(self, limits: MediaLimits) -> None:
        self.usable = False
        self._limits = limits
        told = limits.model_dump_json()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recsys.features.decoder", told], env=ENVIRONMENT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asks, self._answers = self._process.stdin, self._process.stdout
        if self._answers.readline(HEADER_BYTES) != READY:
            self.end()
            raise ResourceFault(
                "the process that decodes media does not start", where="recsys.features.decoder",
                value=f"exit code {self._process.returncode}",
                fix=f"see what `{sys.executable} -m recsys.features.decoder '{{}}'` says",
            )  # fmt: skip

    def ask(self, content: bytes, wanted: Wanted) -> Decoded:
        """One file's numbers; afterwards the process is usable, or dead."""
        self.usable = False
        watch = threading.Timer(WALL_SECONDS, self._process.kill)
        watch.start()
        try:
            header = json.dumps(asdict(wanted) | {"bytes": len(content)})
            self._asks.write(header.encode() + b"\n")
            self._asks.write(content)
            self._asks.flush()
            answer = self._answered(wanted)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            answer = self._post_mortem(watch)
        finally:
            watch.cancel()
        if isinstance(answer, MediaFault):
            raise answer
        return answer

    def _answered(self, wanted: Wanted) -> Decoded | MediaFault:
        """What it says; nothing of that is trusted: raises where it is no answer."""
        told = json.loads(self._answers.readline(HEADER_BYTES))
        if "code" in told:
            self.usable = True
            return MediaFault(str(told["code"])[:40], str(told["message"]))
        shape = tuple(map(int, told["shape"]))
        if not wanted.fits(shape, self._limits):
            raise ValueError(f"no answer: {shape}")
        size = int(np.prod(shape)) * np.dtype(wanted.type).itemsize
        decoded = np.frombuffer(self._answers.read(size), wanted.type).reshape(shape)
        self.usable = True
        return decoded

    def _post_mortem(self, watch: threading.Timer) -> MediaFault:
        """Why there is no answer."""
        too_long = watch.finished.is_set()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_SECONDS)
        died = not self.lives()
        self._process.kill()
        match self._process.wait():
            case _ if too_long:
                return MediaFault("timeout", f"not decoded in {WALL_SECONDS:g} s")
            case code if code == -signal.SIGXCPU:
                seconds = self._limits.timeout_seconds
                return MediaFault("timeout", f"not decoded in {seconds:g} s of computing")
            case code if code == -signal.SIGALRM:
                return MediaFault("timeout", "its decoder had just ended for want of work")
            case code if code == -signal.SIGKILL and died:  # by the kernel, short of memory
                return MediaFault("killed", "its decoder was killed by somebody else")
            case code:
                return MediaFault("crashed", f"its decoder died (exit code {code})")

    def lives(self) -> bool:
        """Whether it still waits for a question: one that had none for a while ends."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kills it, if it still lives."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):  # what it was asked is not all written
            self._asks.close()
        self._answers.close()


_idle: dict[MediaLimits, list[_Process]] = {}
os.register_at_fork(after_in_child=_idle.clear)  # a fork must not talk to its parent's


def _taken(limits: MediaLimits) -> _Process | None:
    waiting = _idle.get(limits, [])
    try:
        while not (process := waiting.pop()).lives():
            process.end()
    except IndexError:  # other threads were quicker
        return None
    return process

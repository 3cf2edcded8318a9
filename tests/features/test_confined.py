"""Decoding in confined processes: the same pixels, no power, a bad file takes no other along."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recsys.features import confined, images
from recsys.features.confined import Wanted
from recsys.features.media import TRANSIENT, MediaFault, MediaLimits

LIMITS = MediaLimits(max_pixels=1_000_000)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
CONFINED = """
import ctypes, os, socket
from pathlib import Path
from recsys.features import decoder
from recsys.features.media import MediaLimits
decoder.isolate()
decoder.warm_up(MediaLimits())
decoder.confine(2**28)
def refused(what, action):
    try:
        action()
    except (OSError, MemoryError, ValueError):
        print(what, "refused")
    else:
        print(what, "POSSIBLE")
refused("socket", lambda: socket.socket())
refused("reading", lambda: open("/etc/hostname"))
refused("writing", lambda: open("/tmp/confined-was-here", "w"))
refused("fork", lambda: os.fork() or os._exit(0))
refused("memory", lambda: bytearray(2**29))
refused("rights", lambda: decoder.resource.setrlimit(decoder.resource.RLIMIT_NOFILE, (99, 99)))
"""


def saved(kind: str, mode: str = "RGB", pixels: np.ndarray = NOISE) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind)
    return stream.getvalue()


IMAGE = Wanted("image")


def code(content: bytes, wanted: Wanted = IMAGE) -> str:
    with pytest.raises(MediaFault) as caught:
        confined.decode(content, wanted, LIMITS)
    return caught.value.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_pixels_are_those_of_this_process(kind: str) -> None:
    content = saved(kind)
    pixels = confined.decode(content, Wanted("image"), LIMITS)
    np.testing.assert_array_equal(pixels, images.decode(content, LIMITS))
    small = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BOX)
    np.testing.assert_array_equal(
        confined.decode(content, Wanted("image", 16), LIMITS), np.asarray(small)
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels confine otherwise")
def test_s18_a_decoder_can_do_nothing_but_compute() -> None:
    told = subprocess.run(
        [sys.executable, "-P", "-c", CONFINED], env=confined.ENVIRONMENT, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert told.stdout.split("\n")[:-1] == [
        f"{what} refused" for what in ("socket", "reading", "writing", "fork", "memory", "rights")
    ], told


def test_a_decoder_that_dies_takes_one_file_along(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved("PNG")
    confined.decode(content, Wanted("image"), LIMITS)
    process = confined._idle[LIMITS][-1]._process
    os.kill(process.pid, signal.SIGALRM)  # it had nothing to do for a while
    process.wait()
    confined.decode(content, Wanted("image"), LIMITS)
    process = confined._idle[LIMITS][-1]._process
    os.kill(process.pid, signal.SIGSTOP)  # it hangs
    monkeypatch.setattr(confined, "WALL_SECONDS", 0.1)
    assert code(content) == "timeout"
    monkeypatch.undo()
    confined.decode(content, Wanted("image"), LIMITS)
    # a process may die before it is asked, or between that and its answer: here it is asked
    monkeypatch.setattr(confined, "_taken", lambda limits: confined._idle[limits].pop())
    os.kill(confined._idle[LIMITS][-1]._process.pid, signal.SIGSEGV)
    assert code(content) == "crashed"
    monkeypatch.undo()
    confined.decode(content, Wanted("image"), LIMITS)
    monkeypatch.setattr(confined, "_taken", lambda limits: confined._idle[limits].pop())
    os.kill(confined._idle[LIMITS][-1]._process.pid, signal.SIGKILL)  # as a kernel out of memory
    assert (killed := code(content)) == "killed"
    monkeypatch.undo()
    assert killed in TRANSIENT  # says nothing about the file: the next run tries it again
    confined.decode(content, Wanted("image"), LIMITS)


def test_an_answer_is_not_trusted() -> None:
    assert not Wanted("image").fits((2000, 2000, 3), LIMITS)
    assert not Wanted("image").fits((-1, -1, 3), LIMITS)
    assert not Wanted("image", 8).fits((9, 8, 3), LIMITS)
    assert not Wanted("video", 8, 2).fits((2, 8, 8, 4), LIMITS)
    assert Wanted("video", 8, 2).fits((2, 8, 8, 3), LIMITS)


def test_what_is_no_picture_says_so_and_the_process_goes_on(tmp_path: Path) -> None:
    confined.decode(saved("PNG"), Wanted("image"), LIMITS)
    before = confined._idle[LIMITS][-1]
    assert code(b"<html>") == "not_an_image"
    assert code(b"<html>", Wanted("video", 8, 2)) == "not_a_clip"
    assert code(saved("PNG", pixels=np.zeros((2000, 1000, 3), np.uint8))) == "too_large"
    assert confined._idle[LIMITS][-1] is before
    (tmp_path / "empty").touch()
    with pytest.raises(MediaFault, match="no bytes"):
        confined.load(tmp_path / "empty", Wanted("image"), LIMITS)


def test_ending_a_dead_process_that_was_asked_in_vain() -> None:
    process = confined._Process(LIMITS)
    process._process.kill()
    process._process.wait()
    process._asks.write(b"a question that only the buffer has")
    process.end()
    assert process._asks.closed
    assert process._answers.closed

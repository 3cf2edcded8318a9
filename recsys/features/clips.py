"""Opening clips that nobody vouches for: from memory, known containers, bounded work.

Called in a process of its own, by `decoder`.
"""

import bisect
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from recsys.features.media import MediaFault, MediaLimits, check_size

Frames = npt.NDArray[np.uint8]
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
COMPLETE = 0.9  # share of the declared length that must be there


def decode(content: bytes, count: int, side: int, limits: MediaLimits) -> Frames:
    """Frames `[count, side, side, 3]` RGB, evenly spread over the clip; short clips repeat frames.

    Lists the packets first, which is cheap and shows what is really there, then decodes only from
    the last key frame before each frame that is wanted, and of these only what others are made of.

    Args:
        content: of the clip's file.
        count: F, frames wanted.
        side: frames are scaled to side x side pixels.
        limits: of pixels, seconds, frames and time.

    Raises:
        MediaFault: no clip, no video in it, incomplete, or beyond the limits.
    """
    with opened(content, FORMATS, "not_a_clip") as container:
        return _sampled(container, count, side, limits)


@contextmanager
def opened(content: bytes, formats: str, code: str) -> Iterator[Any]:
    """A PyAV container that reads nothing but these bytes; used for sounds too.

    Args:
        content: of the file.
        formats: containers that FFmpeg may take it for.
        code: of the fault for a file that it cannot read.

    Raises:
        MediaFault: for whatever goes wrong while it is read.
    """
    # FFmpeg opens addresses, playlists and other files on its own unless both lists say otherwise
    options = {"protocol_whitelist": "", "format_whitelist": formats}
    try:
        with av.open(io.BytesIO(content), mode="r", options=options) as container:
            yield container
    except MediaFault:
        raise
    except av.FFmpegError as error:  # some of these are a MemoryError too: the file asks for it
        raise MediaFault(code, f"{type(error).__name__}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged files raise IndexError, ValueError and more
        raise MediaFault(code, f"{type(error).__name__}: {error}") from None


def _sampled(container: Any, count: int, side: int, limits: MediaLimits) -> Frames:
    if not container.streams.video:
        raise MediaFault("no_video", "the file has no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    if stream.codec_context is None or not stream.codec_context.width:
        raise MediaFault("codec", "the video's codec is unknown or encrypted")
    stream.codec_context.thread_count = 1
    check_size(stream.codec_context.width, stream.codec_context.height, limits)
    seconds = _declared_seconds(container, stream)
    if seconds > limits.max_seconds:
        raise MediaFault("too_long", f"{seconds:,.0f} s, at most {limits.max_seconds:,.0f} s")
    clock = Clock(limits)
    times, starts = _index(container, stream, clock, limits)
    if not times:
        raise MediaFault("no_frames", "the video stream holds no frame")
    base = float(stream.time_base)
    last = (times[-1] - times[0]) * base + 1.0 / float(stream.average_rate or 25)
    if seconds and last < COMPLETE * seconds and len(times) > 1:
        raise MediaFault("partial", f"{last:.1f} of {seconds:.1f} s are there")
    places = np.linspace(0, len(times) - 1, count).round().astype(int)
    wanted = [times[place] for place in places]
    shown = _shown(container, stream, wanted, starts, side, clock, limits)
    if not shown:
        raise MediaFault("no_frames", "no frame of the video stream can be decoded")
    return np.stack([shown[min(number, len(shown) - 1)] for number in range(count)])


class Clock:
    """Refuses to go on once a clip has taken its time."""

    def __init__(self, limits: MediaLimits) -> None:
        self._seconds = limits.timeout_seconds
        self._begin = time.monotonic()

    def check(self) -> None:
        """Raises `MediaFault` once the time is over."""
        if time.monotonic() - self._begin > self._seconds:
            raise MediaFault("timeout", f"not decoded in {self._seconds:g} s")


def _index(
    container: Any, stream: Any, clock: Clock, limits: MediaLimits
) -> tuple[list[int], list[int]]:
    """Times of all frames and of those where decoding can start, sorted; nothing is decoded."""
    times, starts = [], []
    for packet in container.demux(stream):
        clock.check()
        when = packet.dts if packet.pts is None else packet.pts
        if when is None or not packet.size:
            continue
        times.append(when)
        if packet.is_keyframe:
            starts.append(when)
        if len(times) > limits.max_frames:
            raise MediaFault("too_long", f"more than {limits.max_frames:,} frames")
    if times and (max(times) - min(times)) * float(stream.time_base) > limits.max_seconds:
        raise MediaFault("too_long", f"more than {limits.max_seconds:,.0f} s of frames")
    return sorted(times), sorted(starts)


def _shown(
    container: Any, stream: Any, wanted: list[int], starts: list[int], side: int,
    clock: Clock, limits: MediaLimits,
) -> list[Frames]:  # fmt: skip
    """The frames at the times `wanted` (ascending); jumps ahead where that saves decoding."""
    shown: list[Frames] = []
    frames: Iterator[Any] = iter(())
    at: int | None = None
    aim = [0]
    for when in wanted:
        aim[0] = when
        start = starts[max(bisect.bisect_right(starts, when) - 1, 0)] if starts else wanted[0]
        if at is None or start > at:
            container.seek(start, stream=stream, backward=True)
            frames, at = _decoded(container, stream, aim, clock), start - 1
        if at >= when and shown:
            shown.append(shown[-1])
            continue
        for frame in frames:
            clock.check()
            check_size(frame.width, frame.height, limits)
            at = frame.pts if frame.pts is not None else frame.dts
            if at is None:
                raise MediaFault("not_a_clip", "its frames have no times")
            if at >= when:
                pixels = frame.to_ndarray(format="rgb24", width=side, height=side, threads=1)
                shown.append(pixels)
                break
    return shown


def _decoded(container: Any, stream: Any, aim: Sequence[int], clock: Clock) -> Iterator[Any]:
    """Frames from here on; those before `aim[0]` that no other frame is made from are left out."""
    for packet in container.demux(stream):
        clock.check()
        early = packet.pts is not None and packet.pts < aim[0]
        stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
        yield from packet.decode()


def _declared_seconds(container: Any, stream: Any) -> float:
    """The length that the file claims; 0 where it claims none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / float(av.time_base)

"""Opening clips that nobody vouches for: by file object, known containers, bounded work."""

import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from recsys.features.media import MediaFault, MediaLimits, check_size

Frames = npt.NDArray[np.uint8]
# FFmpeg opens addresses, playlists and other files on its own unless both lists say otherwise.
OPTIONS = {
    "protocol_whitelist": "",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
}
COMPLETE = 0.9  # share of the declared length that must be there


def load(path: Path, count: int, side: int, limits: MediaLimits) -> Frames:
    """Frames `[count, side, side, 3]` RGB, evenly spread over the clip; short clips repeat frames.

    Decodes from the start and keeps what is asked for: short product clips decode in milliseconds,
    and no index of the file has to be trusted.

    Args:
        path: of the clip.
        count: F, frames wanted.
        side: frames are scaled to side x side pixels.
        limits: of pixels, seconds, frames and time.

    Raises:
        MediaFault: no clip, no video in it, incomplete, or beyond the limits.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise MediaFault("empty", "the file has no bytes")
        if size > limits.max_bytes:
            raise MediaFault("too_many_bytes", f"{size:,} bytes, at most {limits.max_bytes:,}")
        with path.open("rb") as file, av.open(file, mode="r", options=OPTIONS) as container:
            return _sampled(container, count, side, limits)
    except MediaFault:
        raise
    except OSError as error:
        code = "unreadable" if not isinstance(error, av.FFmpegError) else "not_a_clip"
        raise MediaFault(code, str(error)) from None
    except Exception as error:  # damaged files raise IndexError, ValueError and more
        raise MediaFault("not_a_clip", f"{type(error).__name__}: {error}") from None


def _sampled(container: Any, count: int, side: int, limits: MediaLimits) -> Frames:
    if not container.streams.video:
        raise MediaFault("no_video", "the file has no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    if stream.codec_context is None or not stream.codec_context.width:
        raise MediaFault("codec", "the video's codec is unknown or encrypted")
    check_size(stream.codec_context.width, stream.codec_context.height, limits)
    seconds = _declared_seconds(container, stream)
    if seconds > limits.max_seconds:
        raise MediaFault("too_long", f"{seconds:,.0f} s, at most {limits.max_seconds:,.0f} s")
    kept, seen, last = _decoded(container, stream, seconds, count, side, limits)
    if not kept:
        raise MediaFault("no_frames", "the video stream holds no frame")
    if seconds and last < COMPLETE * seconds and seen > 1:
        raise MediaFault("partial", f"{last:.1f} of {seconds:.1f} s are there")
    spread = np.linspace(0, len(kept) - 1, count).round().astype(int)
    return np.stack([kept[place] for place in spread])


def _decoded(
    container: Any, stream: Any, seconds: float, count: int, side: int, limits: MediaLimits
) -> tuple[list[Frames], int, float]:
    """Frames kept, frames seen, and the end of the last one in seconds."""
    begin = time.monotonic()
    rate = float(stream.average_rate or 25)
    total = max(1, round(seconds * rate)) if seconds else limits.max_decoded_frames
    stride = max(1, total // (4 * count))  # at most some 4 * count frames are converted
    kept: list[Frames] = []
    seen, last = 0, 0.0
    for frame in container.decode(stream):
        if seen >= limits.max_decoded_frames or seen / rate > limits.max_seconds:
            raise MediaFault("too_long", f"more than {limits.max_decoded_frames:,} frames")
        if time.monotonic() - begin > limits.timeout_seconds:
            raise MediaFault("timeout", f"not decoded in {limits.timeout_seconds:g} s")
        check_size(frame.width, frame.height, limits)
        if seen % stride == 0:
            kept.append(frame.to_ndarray(format="rgb24", width=side, height=side))
        seen += 1
        last = max(last, float(frame.time or 0.0) + 1.0 / rate)
    return kept, seen, last


def _declared_seconds(container: Any, stream: Any) -> float:
    """The length that the file claims; 0 where it claims none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / float(av.time_base)

"""Opening sounds that nobody vouches for, also those of clips: one channel, one rate.

Called in a process of its own, by `decoder`.
"""

import av
import numpy as np
import numpy.typing as npt

from recsys.features import clips
from recsys.features.media import MediaFault, MediaLimits

Samples = npt.NDArray[np.float32]
FORMATS = f"{clips.FORMATS},mp3,wav,flac,ogg,aac"
LEAST_SECONDS = 0.1


def decode(content: bytes, rate: int, seconds: float, limits: MediaLimits) -> Samples:
    """The first `seconds` of a sound `[n]`, all channels mixed into one, between -1 and 1.

    Args:
        content: of a sound file, or of a clip with sound.
        rate: samples a second that are wanted.
        seconds: at most so long; nothing behind is decoded.
        limits: of time.

    Raises:
        MediaFault: no sound in it, next to none, not decodable, or beyond the limits.
    """
    most = int(rate * seconds)
    with clips.opened(content, FORMATS, "not_a_sound") as container:
        if not container.streams.audio:
            raise MediaFault("no_audio", "the file has no sound")
        stream = container.streams.audio[0]
        stream.thread_type = "NONE"
        if stream.codec_context is None:
            raise MediaFault("codec", "the sound's codec is unknown or encrypted")
        stream.codec_context.thread_count = 1
        clock = clips.Clock(limits)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        parts: list[Samples] = []
        count = 0
        for frame in container.decode(stream):
            clock.check()
            for made in resampler.resample(frame):
                parts.append(made.to_ndarray().ravel())
                count += len(parts[-1])
            if count >= most:
                break
        else:
            parts += [made.to_ndarray().ravel() for made in resampler.resample(None)]
    samples = np.concatenate(parts)[:most] if parts else np.zeros(0, np.float32)
    if len(samples) < LEAST_SECONDS * rate:
        raise MediaFault("too_short", f"{len(samples) / rate:.2f} s, at least {LEAST_SECONDS} s")
    return samples.clip(-1, 1)

"""Sounds of files and clips: one channel at one rate; every bad one ends in a coded fault."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from recsys.features import confined
from recsys.features.audio import SoundStatistics
from recsys.features.confined import Decoded, Wanted
from recsys.features.media import MediaFault, MediaLimits

LIMITS = MediaLimits()
FORMATS = {"wav": "pcm_s16le", "mp3": "mp3", "flac": "flac", "ogg": "opus", "mp4": "aac"}


def load(path: Path, rate: int, seconds: float, limits: MediaLimits) -> Decoded:
    return confined.load(path, Wanted("audio", rate=rate, seconds=seconds), limits)


def tone(
    hertz: float, seconds: float, kind: str = "wav", rate: int = 48_000, layout: str = "stereo"
) -> bytes:
    """A sine of amplitude one half."""
    times = np.arange(int(rate * seconds)) / rate
    wave = np.tile(0.5 * np.sin(2 * np.pi * hertz * times), (1, 1)).astype(np.float32)
    stream = io.BytesIO()
    with av.open(stream, "w", format=kind) as container:
        audio = container.add_stream(FORMATS[kind], rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        frame.rate = rate
        resampler = av.AudioResampler(audio.codec_context.format, layout, rate)
        fifo = [*resampler.resample(frame), *resampler.resample(None)]
        for part in fifo:
            container.mux(audio.encode(part))
        container.mux(audio.encode(None))
    return stream.getvalue()


def pitch(samples: np.ndarray, rate: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_tone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(tone(440, 1.0, kind))
    samples = load(path, 16_000, 30, LIMITS)
    assert samples.dtype == np.float32
    assert abs(len(samples) / 16_000 - 1.0) < 0.1
    assert pitch(samples, 16_000) == pytest.approx(440, abs=3)
    assert 0.3 < np.abs(samples[4000:12000]).max() < 0.8


def test_only_the_beginning_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(tone(440, 3.0))
    assert len(load(path, 8_000, 0.5, LIMITS)) == 4_000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><h1>404</h1>", "not_a_sound"),
        (b"#EXTM3U\n#EXTINF:1,\nother.wav\n#EXT-X-ENDLIST\n", "not_a_sound"),
        (b"ffconcat version 1.0\nfile other.wav\n", "not_a_sound"),
        (tone(440, 0.02), "too_short"),
    ],
)
def test_bad_sounds_have_a_code(content: bytes, code: str, tmp_path: Path) -> None:
    (tmp_path / "other.wav").write_bytes(tone(440, 1.0))
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    with pytest.raises(MediaFault) as caught:
        load(path, 16_000, 30, LIMITS)
    assert caught.value.code == code


def test_a_silent_clip_has_no_sound(tmp_path: Path) -> None:
    from test_clips import clip

    path = tmp_path / "clip.mp4"
    path.write_bytes(clip())
    with pytest.raises(MediaFault) as caught:
        load(path, 16_000, 30, LIMITS)
    assert caught.value.code == "no_audio"


def test_statistics_tell_high_from_low_and_steady_from_pulsing(tmp_path: Path) -> None:
    encoder = SoundStatistics(30, LIMITS)
    times = np.arange(16_000) / 16_000
    low, high = (np.sin(2 * np.pi * hertz * times).astype(np.float32) for hertz in (200, 3_000))
    pulsing = low * (np.sin(2 * np.pi * 4 * times) > 0)
    vectors = encoder.encode([low, high, pulsing.astype(np.float32)])
    bands = vectors[:, :32].argmax(axis=1)
    assert bands[0] == bands[2] < bands[1]
    assert vectors[2, 32 + bands[0]] > 5 * vectors[0, 32 + bands[0]] + 0.5

"""Every bad clip of the reliability list ends in a coded fault, and no other file is opened."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from recsys.features import clips, confined
from recsys.features.confined import Decoded, Wanted
from recsys.features.media import MediaFault, MediaLimits

LIMITS = MediaLimits()
SHARED = Path(__file__).parents[3] / "shared" / "data" / "clips"


def clip(
    kind: str = "mp4", frames: int = 60, side: int = 64, rate: int = 30, codec: str = "mpeg4"
) -> bytes:
    """A clip whose frame i is grey of brightness 4 i (below 256)."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=kind) as container:
        video = container.add_stream(codec, rate=rate)
        video.width = video.height = side
        video.pix_fmt = "yuv420p"
        for number in range(frames):
            pixels = np.full((side, side, 3), min(4 * number, 255), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(video.encode(None))
    return stream.getvalue()


def load(path: Path, count: int, side: int, limits: MediaLimits) -> Decoded:
    return confined.load(path, Wanted("video", side, count), limits)


def sound() -> bytes:
    """V07: an MP4 with sound only."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44_100
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return stream.getvalue()


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


REFUSED: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "V01 empty": (lambda: b"", {"empty"}),
    "V01 error page": (lambda: b"<!DOCTYPE html><h1>404</h1>", {"not_a_clip"}),
    "V02 half an mp4": (lambda: halved(clip()), {"not_a_clip"}),
    "V03 half an mkv": (lambda: halved(clip("matroska")), {"partial"}),
    "V06 playlist": (lambda: b"#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n", {"not_a_clip"}),
    "V07 no video": (sound, {"no_video"}),
    "V08 too long": (lambda: clip(frames=20, rate=1), {"too_long"}),
    "V10 unknown codec": (
        lambda: clip("matroska").replace(b"V_MPEG4", b"V_ZZZZZ"),
        {"codec", "not_a_clip"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_clips_are_refused(name: str, tmp_path: Path) -> None:
    content, codes = REFUSED[name]
    path = tmp_path / "clip.mp4"
    path.write_bytes(content())
    with pytest.raises(MediaFault) as caught:
        load(path, 8, 32, MediaLimits(max_seconds=10))
    assert caught.value.code in codes


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x.mp4", "concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a"]
)
def test_an_address_is_a_file_name(address: str) -> None:
    # V04: no request and no other file, only a file of that name, which is not there
    with pytest.raises(MediaFault) as caught:
        load(Path(address), 8, 32, LIMITS)
    assert caught.value.code == "unreadable"


def test_a_list_of_files_opens_none_of_them(tmp_path: Path) -> None:
    # V05: the neighbour is a good clip; ffconcat would show its frames
    (tmp_path / "good.mp4").write_bytes(clip())
    bad = tmp_path / "list.mp4"
    bad.write_text("ffconcat version 1.0\nfile good.mp4\n")
    with pytest.raises(MediaFault) as caught:
        load(bad, 8, 32, LIMITS)
    assert caught.value.code == "not_a_clip"


def test_too_many_pixels(tmp_path: Path) -> None:
    # V08
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip(frames=2, side=256))
    with pytest.raises(MediaFault) as caught:
        load(path, 2, 32, MediaLimits(max_pixels=10_000))
    assert caught.value.code == "too_large"


def test_a_flipped_bit_never_raises_anything_else(tmp_path: Path) -> None:
    # V09
    content, path = clip(frames=10), tmp_path / "clip.mp4"
    for place in np.random.default_rng(0).integers(0, len(content) * 8, 25):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(MediaFault):
            assert load(path, 4, 32, LIMITS).shape == (4, 32, 32, 3)


def test_a_clip_that_asks_for_too_much_memory_is_no_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(av, "open", refused)
    with pytest.raises(MediaFault) as caught:
        clips.decode(b"a clip", 2, 8, LIMITS)
    assert caught.value.code == "not_a_clip"


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
def test_frames_are_evenly_spread(kind: str, tmp_path: Path) -> None:
    # brightness grows by 4 a frame over 60 frames: sampled frames rise from the first to the last
    path = tmp_path / "clip"
    path.write_bytes(clip(kind))
    brightness = load(path, 8, 32, LIMITS).mean(axis=(1, 2, 3))
    steps = np.diff(brightness)
    assert (steps > 20).all()
    assert steps.max() - steps.min() < 14
    assert brightness[0] < 20
    assert brightness[-1] > 215


@pytest.mark.parametrize(
    ("kind", "codec", "count"),
    [("mp4", "mpeg4", 5), ("matroska", "mpeg4", 5), ("avi", "mpeg4", 5), ("mp4", "h264", 17)],
)
def test_seeking_shows_the_frames_that_decoding_all_shows(
    kind: str, codec: str, count: int, tmp_path: Path
) -> None:
    # oracle: every frame of a clip with several key frames (of H.264, one, and frames that no
    # other is made from, wanted and not), decoded from the start
    path = tmp_path / "clip"
    path.write_bytes(clip(kind, frames=100, codec=codec))
    with av.open(str(path)) as container:
        every = [
            f.to_ndarray(format="rgb24", width=32, height=32) for f in container.decode(video=0)
        ]
    places = np.linspace(0, len(every) - 1, count).round().astype(int)
    np.testing.assert_array_equal(
        load(path, count, 32, LIMITS), np.stack([every[place] for place in places])
    )


def test_a_long_fast_clip_is_within_the_limits(tmp_path: Path) -> None:
    # 2,400 frames of 60 a second; only those after eight key frames are decoded
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip(frames=2400, side=32, rate=60))
    assert load(path, 8, 32, LIMITS).shape == (8, 32, 32, 3)


def test_a_short_clip_repeats_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip(frames=1))
    assert load(path, 8, 32, LIMITS).shape == (8, 32, 32, 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clips are not here")
def test_real_clips_decode() -> None:
    for path in sorted(SHARED.glob("*.mp4"))[:2]:
        frames = load(path, 8, 32, LIMITS)
        assert frames.shape == (8, 32, 32, 3)
        assert frames.std() > 5

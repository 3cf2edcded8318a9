"""Each taste is told by one modality alone: words, photo or clip, and a clip by several frames."""

import re
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from recsys.data import product_media, product_texts
from recsys.features import clips
from recsys.features.image import ImageStatistics
from recsys.features.media import MediaLimits
from recsys.features.video import MotionStatistics

COUNT, TRAINED = 480, 320
LIMITS = MediaLimits()
VALUES = {"theme": 8, "hue": 6, "pattern": 4, "motion": 6, "category": 8}
Codes = dict[str, npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def codes() -> Codes:
    random = np.random.default_rng(0)
    return {name: random.integers(0, count, COUNT) for name, count in VALUES.items()}


@pytest.fixture(scope="module")
def senses(codes: Codes) -> dict[str, npt.NDArray[np.floating]]:
    """What each modality shows: word counts, photo statistics, motion statistics, one frame."""
    words = np.zeros((COUNT, 512))
    photos, films, frames = [], [], []
    for row in range(COUNT):
        random = np.random.default_rng([1, row])
        theme, hue, pattern, motion, kind = (int(codes[name][row]) for name in VALUES)
        title = product_texts.title(theme, kind, random)
        text = f"{title} {product_texts.description(theme, kind, random)}"
        for word in re.findall(r"\w+", text.lower()):
            words[row, zlib.crc32(word.encode()) % 512] += 1
        photos.append(product_media.photo(hue, pattern, kind, 64, random))
        films.append(product_media.clip(motion, 48, 16, random))
        frames.append(films[-1][random.integers(16)])
    pixels = np.stack(frames)[..., 0].reshape(COUNT, 12, 4, 12, 4).mean(axis=(2, 4))
    mixed = pixels.reshape(COUNT, -1) - pixels.mean()
    mixed = np.maximum(mixed @ np.random.default_rng(2).normal(size=(144, 600)), 0)
    return {
        "words": words,
        "photo": ImageStatistics(64, LIMITS).encode(photos),
        "clip": MotionStatistics(16, 48, LIMITS).encode(films),
        "frame": np.concatenate([ImageStatistics(48, LIMITS).encode(frames), mixed], axis=1),
    }


def decoded(vectors: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], values: int) -> float:
    """Share of held-out items whose label ridge regression (one against all) finds."""
    mean, spread = vectors[:TRAINED].mean(axis=0), vectors[:TRAINED].std(axis=0) + 1e-6
    inputs = np.c_[(vectors - mean) / spread, np.ones(len(vectors))]
    known = inputs[:TRAINED]
    weights = np.linalg.solve(
        known.T @ known + 30 * np.eye(known.shape[1]), known.T @ np.eye(values)[labels[:TRAINED]]
    )
    return float(((inputs[TRAINED:] @ weights).argmax(axis=1) == labels[TRAINED:]).mean())


# 160 held-out items: chance is 1 / values, its standard deviation at most 0.035
@pytest.mark.parametrize(
    ("sense", "seen"),
    [("words", {"theme"}), ("photo", {"hue", "pattern"}), ("clip", {"motion"}), ("frame", set())],
)
def test_a_taste_shows_in_its_own_modality_only(
    sense: str, seen: set[str], senses: dict[str, npt.NDArray[np.floating]], codes: Codes
) -> None:
    for name in ("theme", "hue", "pattern", "motion"):
        share = decoded(senses[sense], codes[name], VALUES[name])
        if name in seen:
            assert share > 0.8, (sense, name)
        else:
            assert share < 1 / VALUES[name] + 0.14, (sense, name)


def test_theme_words_belong_to_one_theme_and_tell_no_look_or_motion() -> None:
    words = [word for theme in product_texts.THEME_WORDS for word in theme]
    assert len(set(words)) == len(words)
    frame = " ".join((*words, *product_texts.KINDS, *product_texts.OPENINGS)).lower()
    forbidden = (
        r"\b(red|blue|green|yellow|stripe\w*|dot\w*|check\w*|plain|slide\w*|spin\w*|zoom\w*)"
    )
    assert not re.search(forbidden, frame)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_written_photos_come_back(ending: str, tmp_path: Path) -> None:
    pixels = product_media.photo(0, 1, 2, 48, np.random.default_rng(3))
    product_media.write_photo(pixels, tmp_path / f"photo.{ending}")
    back = np.asarray(Image.open(tmp_path / f"photo.{ending}")).astype(int)
    assert back.shape == (48, 48, 3)
    assert np.abs(back - pixels).mean() < (0.1 if ending == "png" else 12)


def test_written_clips_come_back_whole(tmp_path: Path) -> None:
    frames = product_media.clip(1, 48, 16, np.random.default_rng(4))
    product_media.write_clip(frames, tmp_path / "clip.mp4")
    back = clips.decode((tmp_path / "clip.mp4").read_bytes(), 16, 48, LIMITS).astype(int)
    assert back.shape == (16, 48, 48, 3)
    assert np.abs(back - frames).mean() < 12
    assert (frames == product_media.clip(1, 48, 16, np.random.default_rng(4))).all()

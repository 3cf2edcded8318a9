"""From stores to item features: several pictures of an item, averaged or kept apart."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines import encode, sources
from pipelines.settings import Settings
from recsys.errors import Fault
from recsys.features.store import Store

KEYS = pl.Series([["a", "b", "c"], [], ["d"], ["lost"], ["b", "lost"]], dtype=pl.List(pl.String))


def store() -> Store:
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    return Store(Path(), "x", 2, {key: row for row, key in enumerate("abcd")}, vectors)


def test_several_pictures_are_averaged() -> None:
    vectors, present = encode.pooled(store(), KEYS, 1)
    # a, b, c are (0, 1), (2, 3), (4, 5); d is (6, 7)
    assert vectors.tolist() == [[2, 3], [0, 0], [6, 7], [0, 0], [2, 3]]
    assert present.tolist() == [True, False, True, False, True]


def test_several_pictures_are_kept_apart_where_attention_pools_them() -> None:
    vectors, present = encode.pooled(store(), KEYS, 2)
    nan = np.nan
    expected = [
        [[0, 1], [2, 3]], [[nan] * 2] * 2, [[6, 7], [nan] * 2], [[nan] * 2] * 2,
        [[2, 3], [nan] * 2],
    ]  # fmt: skip
    np.testing.assert_array_equal(vectors, np.array(expected))
    assert present.tolist() == [True, False, True, False, True]


def test_one_picture_an_item_needs_no_pooling() -> None:
    vectors, _ = encode.pooled(store(), KEYS[[2, 3]], 8)
    assert vectors.shape == (2, 2)


def chosen(work: Path, **features: object) -> Settings:
    return Settings.model_validate({"work": str(work), "features": features})


def test_items_without_a_sound_are_heard_by_their_clips_where_asked_for() -> None:
    items = pl.DataFrame(
        {"audio": [["a.wav"], [], []], "audio_hash": [["a"], [], []],
         "video": [["v.mp4"], ["w.mp4"], []], "video_hash": [["v"], ["w"], []]},
        schema_overrides={name: pl.List(pl.String) for name in ("audio", "video")},
    )  # fmt: skip
    for from_clips, keys in ((False, [["a"], [], []]), (True, [["a"], ["w"], []])):
        settings = chosen(Path("work"), audio={"from_clips": from_clips})
        assert sources.media(settings, "audio", items)[1].to_list() == keys
        given = sources.of(settings, "audio", items)
        assert {path.name for path in given.values() if isinstance(path, Path)} == {
            "a.wav", *(["w.mp4"] if from_clips else []),
        }  # fmt: skip


def test_an_encoder_learns_from_the_catalogue_once(tmp_path: Path) -> None:
    settings = chosen(tmp_path, text={"encoder": "tfidf", "width": 16})
    with pytest.raises(Fault):
        sources.encoder(settings, "text")
    texts = {"1": "a red shirt", "2": "a blue shirt", "3": "a red coat", "4": "a coat"}
    sources.fit(settings, "text", texts)
    first = sources.encoder(settings, "text")
    sources.fit(settings, "text", {**texts, "5": "an entirely new blue hat"})
    later = sources.encoder(settings, "text")
    assert first is not None
    assert later is not None
    assert first.fingerprint == later.fingerprint

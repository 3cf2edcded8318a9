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
    vectors, places = encode.pooled(store(), KEYS, 1)
    # a, b, c are (0, 1), (2, 3), (4, 5); d is (6, 7)
    assert places.tolist() == [0, -1, 1, -1, 2]
    assert vectors.tolist() == [[2, 3], [6, 7], [2, 3]]


def test_several_pictures_are_kept_apart_where_attention_pools_them() -> None:
    vectors, places = encode.pooled(store(), KEYS, 2)
    lacks = [np.nan] * 2
    assert places.tolist() == [0, -1, 1, -1, 2]
    np.testing.assert_array_equal(
        vectors, np.array([[[0, 1], [2, 3]], [[6, 7], lacks], [[2, 3], lacks]])
    )


def test_one_picture_an_item_needs_no_pooling() -> None:
    vectors, _ = encode.pooled(store(), KEYS[[2, 3]], 8)
    assert vectors.shape == (1, 2)


def test_items_without_pictures_take_no_memory() -> None:
    vectors, places = encode.pooled(store(), KEYS[[1, 3]], 1)
    assert vectors.shape == (0, 2)
    assert places.tolist() == [-1, -1]


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

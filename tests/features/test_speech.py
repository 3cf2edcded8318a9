"""Spoken questions: models of both kinds write, and what is no sound has a coded fault."""

from pathlib import Path

import pytest
import tiny_models
from test_sounds import tone

from recsys.errors import Fault
from recsys.features.media import MediaFault, MediaLimits
from recsys.features.speech import SpeechModel

LIMITS = MediaLimits()


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "question.wav"
    path.write_bytes(tone(440, 0.5))
    return path


def test_letters_of_a_model_that_hears_are_a_word(sound: Path, tmp_path: Path) -> None:
    model = SpeechModel(tiny_models.speaker(tmp_path / "model", "b"), LIMITS, "cpu")
    assert model.heard(sound) == "b"


def test_a_model_that_writes_says_the_same_each_time(sound: Path, tmp_path: Path) -> None:
    model = SpeechModel(tiny_models.writer(tmp_path / "model"), LIMITS, "cpu")
    text = model.heard(sound)
    assert text == model.heard(sound)
    assert set(text.split()) <= set(tiny_models.WORDS)


def test_what_is_no_sound_has_a_code(tmp_path: Path) -> None:
    model = SpeechModel(tiny_models.speaker(tmp_path / "model", "b"), LIMITS, "cpu")
    (tmp_path / "page.wav").write_bytes(b"<html></html>")
    with pytest.raises(MediaFault) as caught:
        model.heard(tmp_path / "page.wav")
    assert caught.value.code == "not_a_sound"


def test_a_missing_model_says_how_to_get_it() -> None:
    with pytest.raises(Fault, match="cannot be loaded"):
        SpeechModel("no/such", LIMITS, "cpu")

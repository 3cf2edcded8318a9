"""Speech to text by a transformers model from a local folder: Whisper and its like, or wav2vec2."""

from pathlib import Path
from typing import Any

from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.media import MediaLimits
from recsys.features.pretrained import config, preprocessor, tokenizer, transformers_model
from recsys.features.words import clean

SETTING = "ask.speech_model"
LONGEST_SECONDS = 30.0  # what Whisper hears at a time; a question is shorter
MOST_TOKENS = 200


class SpeechModel:
    """Writes down what is said in a sound file or clip.

    Args:
        model: a hub name or a local folder.
        limits: of the file.
        device: torch device.

    Raises:
        InputFault: the model is not there and cannot be had.
    """

    def __init__(self, model: str, limits: MediaLimits, device: str) -> None:
        known = config(SETTING, model)
        self._writes = bool(known.is_encoder_decoder)
        room = getattr(known, "max_target_positions", None) or 2 * MOST_TOKENS
        self._most_tokens = min(MOST_TOKENS, room // 2)  # the other half is for what begins a text
        kind = "AutoModelForSpeechSeq2Seq" if self._writes else "AutoModelForCTC"
        self._model = transformers_model(SETTING, model, device, kind)
        self._prepare = preprocessor(SETTING, model, "AutoFeatureExtractor")
        self._tokenizer = tokenizer(SETTING, model)
        self._limits = limits

    def heard(self, path: Path) -> str:
        """The words, cleaned; empty where none were understood.

        Raises:
            MediaFault: no sound that can be decoded.
        """
        import torch

        rate = int(self._prepare.sampling_rate)
        wanted = Wanted("audio", rate=rate, seconds=LONGEST_SECONDS)
        samples = confined.load(path, wanted, self._limits)
        inputs: Any = self._prepare(samples, sampling_rate=rate, return_tensors="pt")
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            if self._writes:
                tokens = self._model.generate(
                    **inputs, do_sample=False, max_new_tokens=self._most_tokens
                )
            else:
                tokens = self._model(**inputs).logits.argmax(dim=-1)
        return clean(self._tokenizer.decode(tokens[0], skip_special_tokens=True))

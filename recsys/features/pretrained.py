"""Networks of transformers: loaded from safetensors only, without remote code, named by content."""

import hashlib
from pathlib import Path
from typing import Any

from recsys import durable
from recsys.errors import InputFault
from recsys.offline import stay_offline


def transformers_model(setting: str, model: str, device: str, kind: str = "AutoModel") -> Any:
    """A transformers network, ready for inference.

    Args:
        setting: the setting that names it, for messages.
        model: a hub name or a local folder.
        device: torch device.
        kind: of the library's classes, by what the network ends in.

    Raises:
        InputFault: the model is not there and cannot be had.
    """
    stay_offline()
    from transformers.utils import logging

    logging.disable_progress_bar()
    return _part(setting, model, kind, use_safetensors=True).eval().to(device)


def tokenizer(setting: str, model: str) -> Any:
    """The tokenizer of a transformers network; arguments and faults as of `transformers_model`."""
    return _part(setting, model, "AutoTokenizer")


def config(setting: str, model: str) -> Any:
    """What a transformers network is, without its weights; arguments and faults as above."""
    return _part(setting, model, "AutoConfig")


def preprocessor(setting: str, model: str, kind: str) -> Any:
    """What prepares pictures or sounds for a transformers network; arguments and faults as above.

    Args:
        kind: AutoImageProcessor or AutoFeatureExtractor.
    """
    # torchvision's operators are not there on every CPU machine; Pillow's are
    options = {"backend": "pil"} if kind == "AutoImageProcessor" else {}
    return _part(setting, model, kind, **options)


def _part(setting: str, model: str, kind: str, **options: object) -> Any:
    """A part of a transformers network, by one of the library's classes; runs no code of it."""
    stay_offline()
    import transformers

    known = getattr(transformers, kind)
    try:
        return known.from_pretrained(model, trust_remote_code=False, **options)
    except (OSError, ValueError, ImportError) as error:
        raise missing_model(setting, model, error) from None


def missing_model(setting: str, model: str, error: BaseException) -> InputFault:
    """The one message for a model that cannot be loaded: where to get it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return InputFault(
        f"the model cannot be loaded: {lines[0][:160]}",
        value=model,
        where=setting,
        fix="name a local folder with config.json and model.safetensors, or download the hub model "
        "once where there is a network (`hf download NAME --local-dir DIR`) and name that folder",
    )


def weights_digest(model: str, loaded: Any) -> str:
    """Identifies weights (16 hex digits): by their files where they are local, else by values."""
    digest = hashlib.sha256()
    files: list[Path] = []
    if Path(model).is_dir():
        patterns = ("*.safetensors", "*.json", "*.txt", "*.model")  # the tokenizer decides too
        files = sorted(path for pattern in patterns for path in Path(model).glob(pattern))
    for path in files:
        digest.update(durable.sha256(path).encode())
    if not files:
        for name, value in loaded.state_dict().items():
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]

"""Networks of encoders in training: what of them learns, and that others read what was learned."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.errors import UsageFault
from recsys.features import encoders, tunable
from recsys.features.settings import FeatureSettings, ImageSettings, TextSettings
from recsys.features.tunable import Tunable, Tuned
from tests.features import tiny_models

PHOTO = ImageSettings(encoder="timm", model="mobilenetv3_small_050", weights="random", side=32)
WORDS = ["a red shirt", "long blue coat", "red coat", "a long шарф"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save("bert", tmp_path_factory.mktemp("bert") / "model")


def chosen(modality: str, bert: str, **further: str) -> FeatureSettings:
    """The text half reads by a tiny BERT, the image half by a small network of timm."""
    text = TextSettings(encoder="transformers", model=bert)
    if modality == "text":
        return FeatureSettings(text=text.model_copy(update=further))
    return FeatureSettings(text=text, image=PHOTO.model_copy(update=further))


def encoder(modality: str, bert: str, **further: str) -> Any:
    """One of its own, which nobody else gets from the cache."""
    made = encoders.build.__wrapped__(modality, chosen(modality, bert, **further))  # type: ignore
    assert isinstance(made, Tunable)
    return made


def inputs(one: Any) -> list[Any]:
    random = np.random.default_rng(0)
    if one.modality == "text":
        return WORDS
    return [one.prepare(random.integers(0, 256, (40, 30, 3), dtype=np.uint8)) for _ in range(4)]


def learn(one: Any, what: Tuned, checkpointing: bool = False) -> set[str]:
    """Two steps; the weights that moved meanwhile, or were added."""
    batch = inputs(one)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        end = tunable.begin(one.network, what, 1, 2, checkpointing)
        before = {name: value.clone() for name, value in one.network.state_dict().items()}
        weights = [weight for weight in one.network.parameters() if weight.requires_grad]
        optimizer = torch.optim.SGD(weights, 1.0)
        for _ in range(2):
            vectors = one.vectors(batch)
            loss = (vectors @ vectors[0] * torch.arange(4.0)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        after = one.network.state_dict()
        moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
        end()
    return moved


@pytest.mark.parametrize("what", ["lora", "last_layers", "all"])
@pytest.mark.parametrize("modality", ["text", "image"])
def test_what_should_learn_learns_and_is_read_again(
    modality: str, what: Tuned, bert: str, tmp_path: Path
) -> None:
    if what == "lora":
        pytest.importorskip("peft", reason="the extra `lora` is not installed")
    one = encoder(modality, bert)
    batch, names = inputs(one), set(one.network.state_dict())
    before = one.encode(batch)
    moved = learn(one, what)
    first = "embeddings.word_embeddings" if modality == "text" else "conv_stem"
    last = "encoder.layer.2.output.dense" if modality == "text" else "conv_head"
    assert any(last in name for name in moved)
    assert any(first in name for name in moved) == (
        what != "last_layers" and (what == "all" or modality == "image")
    )
    assert all(("lora_" in name) == (what == "lora") for name in moved)
    assert not any("running" in name for name in moved)
    assert set(one.network.state_dict()) == names  # what was added is folded in
    learned = one.encode(batch)
    assert np.abs(learned - before).max() > 0.01 * np.abs(before).max()
    (setting,) = one.save(tmp_path).items()
    again = encoder(modality, bert, **{setting[0]: str(tmp_path / setting[1])})
    np.testing.assert_allclose(again.encode(batch), learned, rtol=1e-4, atol=1e-6)
    assert again.fingerprint != one.fingerprint


@pytest.mark.parametrize("modality", ["text", "image"])
def test_checkpointing_changes_memory_and_nothing_else(modality: str, bert: str) -> None:
    vectors = []
    for checkpointing in (False, True):
        one = encoder(modality, bert)
        for module in one.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        learn(one, "all", checkpointing)
        vectors.append(one.encode(inputs(one)))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_lora_without_its_library_is_refused(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageFault, match="peft"):
        tunable.begin(encoder("text", bert).network, "lora", 1, 2, False)


def test_statistics_are_no_network() -> None:
    assert not isinstance(encoders.build("image", FeatureSettings()), Tunable)
    assert not isinstance(encoders.build("text", FeatureSettings()), Tunable)

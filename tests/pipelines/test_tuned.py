"""`recsys pretrain` with encoders that learn, too: weights and vectors of their own."""

import json
from pathlib import Path

import pytest

from pipelines import cli
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from tests.features import tiny_models

TINY = ShopSettings(
    items=60, users=40, days=14, events=800, photo_side=32, clip_side=32, clip_frames=4, broken=0
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A shop whose texts and photos tiny networks read, ingested."""
    root = tmp_path_factory.mktemp("tuned")
    write_shop(TINY, root / "shop")
    chosen = [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "model.width=8",
        "features.text.encoder=transformers",
        f"features.text.model={tiny_models.save('bert', root / 'bert')}",
        "features.image.encoder=timm", "features.image.model=mobilenetv3_small_050",
        "features.image.weights=random", "features.image.side=32", "features.video.encoder=none",
        "pretrain.steps=2", "pretrain.batch=16", "pretrain.tuning.steps=2",
        "pretrain.tuning.batch=8", "pretrain.tuning.learning_rate=0.01", "pretrain.sample=8",
        "pretrain.objectives.rotation=0.1",
    ]  # fmt: skip
    assert cli.invoke(["ingest", *chosen]) == 0
    return chosen


def stores(shop: list[str], modality: str) -> set[str]:
    folder = Path(shop[0].removeprefix("work=")) / "embeddings" / modality
    return {path.name for path in folder.iterdir()}


def test_tuned_encoders_have_stores_of_their_own_and_have_to_be_named(
    shop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    learned = ["pretrain.trainable=last_layers", "--json", *shop]
    capsys.readouterr()
    assert cli.invoke(["pretrain", *learned]) == 0
    told = json.loads(capsys.readouterr().out)
    named = told["settings"]
    assert [one.split("=")[0] for one in named] == ["features.text.model", "features.image.weights"]
    assert all(Path(one.split("=", 1)[1]).exists() for one in named)
    assert [len(stores(shop, name)) for name in ("text", "image", "rotations")] == [2, 2, 1]
    search = ["search", "--text", "anchor", "--model", "pretrained"]
    assert cli.invoke([*search, *shop]) == 6  # the vectors of the encoders that they were
    error = capsys.readouterr().err
    assert "reads other encoders" in error
    assert named[0] in error
    assert cli.invoke([*search, *shop, *named]) == 0
    assert cli.invoke(["pretrain", *learned]) == 0  # the same again makes the same weights
    assert [len(stores(shop, name)) for name in ("text", "image", "rotations")] == [2, 2, 1]


def test_one_modality_learns_and_the_other_stays(
    shop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = stores(shop, "text") if Path(shop[0][5:], "embeddings/text").is_dir() else set()
    capsys.readouterr()
    alone = ["pretrain.trainable=all", 'pretrain.tuning.modalities=["image"]', "--json"]
    assert cli.invoke(["pretrain", *alone, *shop]) == 0
    named = json.loads(capsys.readouterr().out)["settings"]
    assert [one.split("=")[0] for one in named] == ["features.image.weights"]
    assert len(stores(shop, "text")) == max(1, len(before))


def test_a_trained_model_reads_no_other_vectors(
    shop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["train", "train.epochs=1", *shop]) == 0
    search = ["search", "--text", "anchor", *shop]
    capsys.readouterr()
    assert cli.invoke(search) == 0
    assert "other encoders" not in capsys.readouterr().err
    assert cli.invoke([*search, "features.image.pad_type=same"]) == 6
    told = capsys.readouterr().err
    assert "vectors of other encoders or limits" in told
    assert "image: timm-" in told


def test_statistics_cannot_learn(shop: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    still = ["features.text.encoder=hashed", "features.image.encoder=statistics"]
    capsys.readouterr()
    assert cli.invoke(["pretrain", "pretrain.trainable=all", *shop, *still]) == 2
    assert "no encoder here is a network" in capsys.readouterr().err

"""Settings: what is wrong is named with its key, its line and the nearest right name."""

from pathlib import Path

import pytest
from pydantic import Field

from recsys import settings
from recsys.errors import UsageFault
from recsys.settings import PathText, Section


class Train(Section):
    learning_rate: float = Field(0.1, gt=0, description="step size")
    epochs: int = Field(5, ge=1, description="passes")


class All(Section):
    train: Train = Train()
    name: str = "x"
    folder: PathText = "here"


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_file_and_overrides_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "[train]\nlearning_rate = 1e-3\n")
    read = settings.load(All, path, ["train.epochs=7", "name=007"])
    assert (read.train.learning_rate, read.train.epochs, read.name) == (0.001, 7, "007")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[train]\nlearing_rate = 1", ["settings.toml:2", "learning_rate"]),  # K01
        ("[train]\nepochs = 1\nepochs = 2", ["TOML"]),  # K03
        ('[train]\n_target_ = "os.system"', ["unknown setting", "_target_"]),  # K05
        ("[train]\nepochs = 0", ["settings.toml:2", "greater than or equal to 1"]),  # K06
        ("[train]\nlearning_rate = -1", ["greater than 0"]),  # K06
        ('[train]\nepochs = "three"', ["valid integer"]),  # K02
        ("", ["empty"]),  # K09
        ("train = 3", ["train"]),  # K09
        ('folder = "${NOPE}/x"', ["settings.toml:1", "'folder'", "${NOPE}"]),  # K08
        ("[train", ["TOML"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, expected: list[str]) -> None:
    with pytest.raises(UsageFault) as caught:
        settings.load(All, write(tmp_path, text))
    assert all(part in str(caught.value) for part in expected), str(caught.value)


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:  # K11
    monkeypatch.setenv("HOME", "/home/somebody")
    assert settings.load(All, None, ["folder=~/shop"]).folder == "/home/somebody/shop"
    assert settings.load(All, None, ["folder=shop/~/x"]).folder == "shop/~/x"


@pytest.mark.parametrize("override", ["train.epochs", "=3", "train..x=1", "name.x=1=2", "a b=1"])
def test_a_bad_override_is_named(override: str) -> None:
    with pytest.raises(UsageFault):
        settings.load(All, None, [override])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"gone\.toml"):
        settings.load(All, tmp_path / "gone.toml")


def test_the_fingerprint_follows_the_values() -> None:
    assert settings.fingerprint(Train()) == settings.fingerprint(Train(epochs=5))
    assert settings.fingerprint(Train()) != settings.fingerprint(Train(epochs=6))

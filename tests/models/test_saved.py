"""A model goes to disk and comes back; anything that does not fit is refused and named."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from recsys.errors import InputFault, MismatchFault
from recsys.models import saved, two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings, TwoTower

N = 5
IDS = ["b", "a", "ü", "007", "7"]


def catalogue() -> ItemFeatures:
    random = torch.Generator().manual_seed(0)
    values = {
        "video": torch.randn(N, 3, generator=random),
        "text": torch.randn(N, 4, generator=random),
    }
    return ItemFeatures(("video", "text"), values, torch.ones(N, 3, dtype=torch.bool))


def built() -> TwoTower:
    return two_tower.build(ModelSettings(width=8), catalogue(), ("view",), 0).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved.write(built(), tmp_path, IDS)
    return tmp_path


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_comes_back_gives_the_same_vectors(folder: Path) -> None:
    back = saved.read(folder)
    assert list(back.item_ids.ids) == IDS
    assert back.model.shape.modalities == (("video", 3), ("text", 4))
    items = catalogue()
    torch.testing.assert_close(back.model.items(items), built().items(items), rtol=0, atol=0)
    assert not back.model.training


def test_the_same_model_is_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    saved.write(built(), again, IDS)
    for name in (saved.WEIGHTS, saved.DESCRIPTION, saved.ITEM_IDS):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_ids_must_fit_the_table(tmp_path: Path) -> None:
    with pytest.raises(MismatchFault, match="5 rows, 4 ids"):
        saved.write(built(), tmp_path, IDS[:4])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_both_ways(folder: Path, value: float) -> None:
    model = built()
    model.item_tower.absent.data[0, 0] = value
    with pytest.raises(InputFault, match=r"item_tower\.absent"):
        saved.write(model, folder, IDS)
    weights = load_file(folder / saved.WEIGHTS)
    weights["item_tower.absent"][0, 0] = value
    save_file(weights, folder / saved.WEIGHTS)
    with pytest.raises(InputFault, match=r"item_tower\.absent"):
        saved.read(folder)


def test_missing_extra_and_reshaped_weights_are_listed(folder: Path) -> None:
    weights = load_file(folder / saved.WEIGHTS)
    del weights["log_temperatures"]
    weights["surplus"] = torch.zeros(1)
    weights["item_tower.absent"] = torch.zeros(2, 2)
    save_file(weights, folder / saved.WEIGHTS)
    with pytest.raises(MismatchFault) as fault:
        saved.read(folder)
    for name in ("log_temperatures", "surplus", "item_tower.absent"):
        assert name in fault.value.where


@pytest.mark.parametrize("cut", [0, 4, 100, -7])
def test_truncated_weights(folder: Path, cut: int) -> None:
    path = folder / saved.WEIGHTS
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputFault, match="weights cannot be read"):
        saved.read(folder)


def test_a_huge_header_and_trailing_bytes(folder: Path) -> None:
    path = folder / saved.WEIGHTS
    good = path.read_bytes()
    for bad in (b"\xff" * 8 + good[8:], good + b"\0" * 9):
        path.write_bytes(bad)
        with pytest.raises(InputFault, match="weights cannot be read"):
            saved.read(folder)


class Pwns:
    """What a loader that unpickles would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_m01_a_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path, zipped: bool) -> None:
    payload = {"item_tower.absent": Pwns(tmp_path / "pwned")}
    torch.save(payload, folder / saved.WEIGHTS, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputFault, match="weights cannot be read"):
        saved.read(folder)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ({"a": ([1], [0, 4]), "b": ([1], [2, 6])}, 6),  # overlap
        ({"a": ([1], [0, 4]), "b": ([1], [8, 12])}, 12),  # a hole
        ({"a": ([1 << 40, 1 << 40], [0, 4])}, 4),  # a shape that overflows
        ({"a": ([4], [0, 4])}, 4),  # a shape that claims more
        ({"a": ([1], [-4, 0])}, 4),
    ],
)
def test_m09_offsets_that_lie(folder: Path, entries: dict[str, Any], size: int) -> None:
    header = json.dumps({
        name: {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        for name, (shape, offsets) in entries.items()
    }).encode()  # fmt: skip
    content = len(header).to_bytes(8, "little") + header + b"\0" * size
    (folder / saved.WEIGHTS).write_bytes(content)
    with pytest.raises(InputFault, match="weights cannot be read"):
        saved.read(folder)


def test_keys_that_stand_twice(folder: Path) -> None:
    path = folder / saved.DESCRIPTION
    text = path.read_text()
    path.write_text(text.replace('"format": 2,', '"format": 2, "format": 2,'))
    with pytest.raises(InputFault, match="'format' stands twice"):
        saved.read(folder)
    path.write_text(text)
    weights = folder / saved.WEIGHTS
    entry = b'"log_temperatures":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = b"{" + entry + b"," + entry + b"}"
    weights.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(InputFault, match="'log_temperatures' stands twice"):
        saved.read(folder)


def test_other_ids_than_the_models(folder: Path) -> None:
    path = folder / saved.ITEM_IDS
    path.write_text(json.dumps(IDS[::-1]))
    with pytest.raises(MismatchFault, match="item ids are not those"):
        saved.read(folder)
    for broken in ([*IDS[:4], "b"], {"ids": IDS}, [1, 2]):
        path.write_text(json.dumps(broken))
        with pytest.raises(InputFault):
            saved.read(folder)


def test_unknown_settings_and_other_formats(folder: Path) -> None:
    path = folder / saved.DESCRIPTION
    for other in (saved.FORMAT - 1, saved.FORMAT + 1):
        change_json(path, format=other)
        with pytest.raises(InputFault, match="does not fit this version"):
            saved.read(folder)
    change_json(path, format=saved.FORMAT, surplus=1)
    with pytest.raises(InputFault, match="surplus"):
        saved.read(folder)


def test_missing_files(folder: Path) -> None:
    for name in (saved.WEIGHTS, saved.DESCRIPTION, saved.ITEM_IDS):
        text = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(InputFault, match=name.replace(".", r"\.")):
            saved.read(folder)
        (folder / name).write_bytes(text)

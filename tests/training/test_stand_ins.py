"""Generated vectors: near what they stand in for, and only where something is missing."""

from dataclasses import replace

import pytest
import torch

from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings
from recsys.training import pretraining, stand_ins
from recsys.training.material import Material
from recsys.training.objectives import Generate, ObjectiveWeights
from recsys.training.pretraining import PretrainingSettings
from recsys.training.settings import TrainingSettings

COUNT = 240
NAMES = ("text", "image")


def items() -> ItemFeatures:
    """Text and image of widths 12 and 7 show the same 4 numbers, far from 0; ids are known."""
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(COUNT, 4, generator=random)
    text, image = (
        10 + hidden @ torch.randn(4, width, generator=random)
        + 0.1 * torch.randn(COUNT, width, generator=random)
        for width in (12, 7)
    )  # fmt: skip
    return ItemFeatures(NAMES, {"text": text, "image": image}, torch.ones(COUNT, 3).bool())


def lacking(features: ItemFeatures) -> ItemFeatures:
    """Every fourth item lacks its image, every fourth its text, and item 2 both."""
    present = features.present.clone()
    present[::4, 1] = False
    present[1::4, 0] = False
    present[2, :2] = False
    values = {
        name: torch.where(present[:, place : place + 1], value, torch.nan)
        for place, (name, value) in enumerate(features.values.items())
    }
    return ItemFeatures(NAMES, values, present)


@pytest.fixture(scope="module")
def made() -> stand_ins.Made:
    weights = dict.fromkeys(ObjectiveWeights.model_fields, 0.0) | {"generate": 1}
    chosen = PretrainingSettings(
        steps=200, batch=64, learning_rate=5e-3,
        objectives=ObjectiveWeights.model_validate(weights),
    )  # fmt: skip
    none = torch.zeros(0, dtype=torch.int64)
    towers = two_tower.build(ModelSettings(width=16), items(), ("view",), 0)
    learned = Material(lacking(items()), none, none)
    _, heads = pretraining.fit(
        towers.item_tower, 16, learned, chosen, TrainingSettings(), lambda *_: None
    )
    generate = heads["generate"]
    assert isinstance(generate, Generate)
    return stand_ins.generated(towers.item_tower.eval(), generate, lacking(items()))


def test_what_is_generated_is_near_what_was_hidden(made: stand_ins.Made) -> None:
    for name, rows in (("image", range(0, COUNT, 4)), ("text", range(1, COUNT, 4))):
        found, vectors = made[name]
        assert found.tolist() == list(rows)
        real = items().values[name][found]
        missed = (vectors - real).square().mean() / (real - real.mean(dim=0)).square().mean()
        assert missed < 0.2  # 1 would be the mean of all


def test_only_what_lacks_is_filled(made: stand_ins.Made) -> None:
    before = lacking(items())
    after = stand_ins.filled(before, made)
    assert after.present[:, :2].all(dim=1).sum() == COUNT - 1
    assert after.present[2].tolist() == [False, False, True]
    for place, name in enumerate(NAMES):
        there = before.present[:, place]
        assert torch.equal(after.values[name][there], before.values[name][there])
        assert torch.isfinite(after.values[name][after.present[:, place]]).all()


def test_items_of_several_pictures_get_one(made: stand_ins.Made) -> None:
    before = lacking(items())
    several = before.values["image"].unsqueeze(1).repeat(1, 3, 1)
    pictured = ItemFeatures(NAMES, before.values | {"image": several}, before.present)
    after = stand_ins.filled(pictured, made).values["image"]
    assert torch.isfinite(after[0, 0]).all()
    assert after[0, 1:].isnan().all()
    assert torch.equal(after[3], several[3])


def test_items_that_share_vectors_are_filled_one_by_one(made: stand_ins.Made) -> None:
    before = lacking(items())
    has = before.present[:, 1]
    places = {"image": torch.where(has, has.cumsum(0) - 1, -1)}
    sharing = replace(
        before, values=before.values | {"image": before.values["image"][has]}, places=places
    )
    after = stand_ins.filled(sharing, made)
    filled = after.present[:, 1]
    expected = stand_ins.filled(before, made).each("image")
    assert torch.equal(after.each("image")[filled], expected[filled])


def test_nothing_is_generated_where_nothing_lacks(made: stand_ins.Made) -> None:
    assert len(made["image"][0]) > 0
    towers = two_tower.build(ModelSettings(width=16), items(), ("view",), 0).eval()
    generate = Generate(items().widths, 16, 0.0)
    whole = stand_ins.generated(towers.item_tower, generate, items())
    assert [len(rows) for rows, _ in whole.values()] == [0, 0]

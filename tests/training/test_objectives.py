"""Self-supervised objectives: InfoNCE as torch has it, and that planted ties are learned."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from recsys.errors import InputFault
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings, TwoTower
from recsys.training import contrast, objectives, pretraining
from recsys.training.contrast import InfoNce
from recsys.training.material import Arranged, ArrangedLive, Draw, Live, Material
from recsys.training.objectives import ObjectiveWeights
from recsys.training.pretraining import PretrainingSettings, TuningSettings
from recsys.training.settings import TrainingSettings

NAMES = ("text", "image")


def material(count: int = 300) -> Material:
    """Text and image of widths 12 and 7 show the same 4 numbers; items 2i and 2i + 1 are a pair."""
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(count // 2, 4, generator=random).repeat_interleave(2, dim=0)
    hidden = hidden + 0.5 * torch.randn(count, 4, generator=random)
    text, image = (
        hidden @ torch.randn(4, width, generator=random)
        + 0.1 * torch.randn(count, width, generator=random)
        for width in (12, 7)
    )
    present = torch.ones(count, 3, dtype=torch.bool)
    present[:, 2] = False
    present[::7, 1] = False
    image[::7] = math.nan  # what is absent must never be read
    first = torch.arange(0, count, 2)
    return Material(ItemFeatures(NAMES, {"text": text, "image": image}, present), first, first + 1)


def model(of: Material) -> TwoTower:
    return two_tower.build(ModelSettings(width=16), of.items, ("view",), 0)


def unit(rows: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, 8, generator=random), dim=-1)


def test_the_positive_stands_in_the_denominator() -> None:
    # two keys that look the same: each is right with probability 1/2, so the loss is log 2;
    # without the positive in the denominator it would be 0
    same = functional.normalize(torch.ones(2, 4), dim=-1)
    assert float(InfoNce()(same, same).loss.detach()) == pytest.approx(math.log(2))
    for seed in range(5):
        assert float(InfoNce(0.01)(unit(6, seed), unit(6, seed)).loss.detach()) >= 0


def test_info_nce_as_torch_has_it() -> None:
    queries, keys = unit(9, 1).requires_grad_(), unit(9, 2)
    contrasted = InfoNce(0.2)
    alike = torch.eye(9, dtype=torch.bool)
    alike[2, 5] = alike[5, 2] = True
    log_q = torch.linspace(-3, -1, 18).view(2, 9)
    outcome = contrasted(queries, keys, alike, log_q)
    hidden = alike & ~torch.eye(9, dtype=torch.bool)
    logits = queries @ keys.T / 0.2
    wanted = [
        functional.cross_entropy(
            (scores - chances).masked_fill(hidden, -torch.inf), torch.arange(9)
        )
        for scores, chances in ((logits, log_q[0]), (logits.T, log_q[1]))
    ]
    assert float(outcome.loss.detach()) == pytest.approx(float(sum(wanted).detach()) / 2, rel=1e-5)
    outcome.loss.backward()
    assert contrasted.log_temperature.grad is not None
    assert contrasted.log_temperature.grad.abs() > 0
    assert (outcome.chance, outcome.answers) == (1.0, 9)


def test_views_show_what_they_should() -> None:
    of = material()
    tower = model(of).item_tower.eval()
    items = of.items.gather(torch.arange(8))
    batch = contrast.Batch(items, items, items, torch.eye(8).bool(), torch.zeros(2, 8))
    seen = contrast.views(tower, batch)
    text = items.present.clone()
    text[:, 1:] = False
    alone = tower(ItemFeatures(NAMES, items.values, text))
    torch.testing.assert_close(seen.single[0], functional.normalize(alone, dim=-1))
    torch.testing.assert_close(seen.rest[1], seen.single[0])
    whole = functional.normalize(tower(items), dim=-1)
    torch.testing.assert_close(seen.whole, whole)
    torch.testing.assert_close(seen.first, whole)
    assert torch.isfinite(seen.part).all()


def test_planted_ties_are_learned_by_every_objective() -> None:
    of = material()
    chosen = PretrainingSettings(
        steps=120, batch=64, held_out=0.2,
        objectives=ObjectiveWeights(align=1, match=1, masked=1, generate=1, identity=1, critic=0.1),
    )  # fmt: skip
    told, _ = pretraining.fit(
        model(of).item_tower, 16, of, chosen, TrainingSettings(), lambda *_: None
    )
    assert len(told) == 6
    for figure in told:
        assert figure.answers > 0
        assert math.isfinite(figure.loss)
        least = 0.65 if figure.name == "match" else 4 * figure.chance
        assert figure.after > least, figure


def arranged(count: int = 300) -> Material:
    """Photos carry a mark that moves with the turn; clips move along a line through all widths."""
    of, random = material(count), torch.Generator().manual_seed(1)
    look = torch.randn(count, 1, 7, generator=random)
    turned = look + 3 * torch.eye(4, 7) + 0.1 * torch.randn(count, 4, 7, generator=random)
    course = 0.5 * torch.arange(6.0).view(1, 6, 1) * torch.randn(count, 1, 7, generator=random)
    rows = torch.arange(count)
    frames = look + course + 0.1 * torch.randn(count, 6, 7, generator=random)
    return dataclasses.replace(of, turned=Arranged(rows, turned), frames=Arranged(rows, frames))


def test_turns_and_the_order_of_frames_are_learned() -> None:
    of = arranged()
    weights = dict.fromkeys(ObjectiveWeights.model_fields, 0.0) | {"rotation": 1, "order": 1}
    chosen = PretrainingSettings(
        steps=150, batch=64, held_out=0.2, learning_rate=5e-3,
        objectives=ObjectiveWeights.model_validate(weights),
    )  # fmt: skip
    told, _ = pretraining.fit(
        model(of).item_tower, 16, of, chosen, TrainingSettings(), lambda *_: None
    )
    rotation, order = told
    assert (rotation.name, rotation.chance, rotation.answers) == ("rotation", 0.25, 4 * 60)
    assert (order.name, order.answers) == ("order", 60)
    assert order.chance == pytest.approx(1 / 3)
    assert min(rotation.after, order.after) > 0.8
    assert rotation.before < 0.6


def test_without_photos_and_clips_nothing_is_asked_about_them() -> None:
    of = material()
    chosen = PretrainingSettings(
        steps=2, batch=32, objectives=ObjectiveWeights(rotation=1, order=1)
    )
    told, _ = pretraining.fit(
        model(of).item_tower, 16, of, chosen, TrainingSettings(), lambda *_: None
    )
    assert {one.name: one.answers for one in told if one.name in {"rotation", "order"}} == {
        "rotation": 0, "order": 0,
    }  # fmt: skip


def test_the_same_settings_give_the_same_weights() -> None:
    of, chosen = material(), PretrainingSettings(steps=3, batch=32)
    towers = [model(of).item_tower for _ in range(2)]
    told = [
        pretraining.fit(tower, 16, of, chosen, TrainingSettings(), lambda *_: None)[0]
        for tower in towers
    ]
    assert told[0] == told[1]
    for one, other in zip(towers[0].parameters(), towers[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_weight_of_zero_leaves_an_objective_out() -> None:
    made = objectives.build(ObjectiveWeights(match=0, generate=0), {"text": 3}, 8)
    assert list(made) == ["align", "masked", "identity", "together"]


def test_the_critic_learns_what_the_generator_unlearns() -> None:
    made = objectives.Generate({"text": 3}, 4, critic=1.0)
    real, seen = torch.randn(6, 3), torch.randn(6, 4)
    fake = torch.randn(6, 3, requires_grad=True)
    loss = made._deceit(0, seen, fake, real)
    (by_fake,) = torch.autograd.grad(loss, fake)
    # a step down this gradient makes the critic's own loss larger
    worse = made._deceit(0, seen, fake.detach() - 0.5 * by_fake * len(fake), real)
    assert float(worse.detach()) > float(loss.detach())


def test_an_encoder_in_training_learns_from_what_is_not_held_out() -> None:
    of = material()
    chosen = PretrainingSettings(held_out=0.2, tuning=TuningSettings(steps=20, batch=16))
    network, read = torch.nn.Linear(7, 7), set()

    def image(rows: torch.Tensor) -> torch.Tensor:
        read.update(rows.tolist())
        assert of.items.present[rows, 1].all()
        made: torch.Tensor = network(of.items.values["image"][rows])
        return made

    def turned(places: torch.Tensor) -> torch.Tensor:
        read.update((7 * places + 1).tolist())
        made: torch.Tensor = network(torch.eye(4, 7).repeat(len(places), 1, 1))
        return made

    live = dataclasses.replace(
        of, live=(Live("image", network, image),),
        turned=ArrangedLive(torch.arange(1, 300, 7), turned),
    )  # fmt: skip
    before = network.weight.detach().clone()
    weights = ObjectiveWeights(rotation=1)
    pretraining.tune(
        model(of).item_tower, 16, live, chosen.model_copy(update={"objectives": weights}),
        TrainingSettings(), lambda *_: None,
    )  # fmt: skip
    assert not torch.equal(network.weight, before)
    draw = Draw(of, 16, chosen.held_out, chosen.seed, torch.device("cpu"))
    held = set(draw._held.tolist())
    assert len(held) == 60
    assert len(read) > 150
    assert not read & held


def test_too_little_to_learn_from_is_refused() -> None:
    of = material()
    none = torch.zeros(0, dtype=torch.int64)
    few = Material(of.items.gather(torch.arange(15)), none, none)
    with pytest.raises(InputFault, match="too few items"):
        pretraining.fit(
            model(few).item_tower, 16, few, PretrainingSettings(), TrainingSettings(), print
        )


def test_without_pairs_the_others_still_learn() -> None:
    of = material()
    none = torch.zeros(0, dtype=torch.int64)
    alone = Material(of.items, none, none)
    chosen = PretrainingSettings(steps=2, batch=32)
    figures, _ = pretraining.fit(
        model(alone).item_tower, 16, alone, chosen, TrainingSettings(), lambda *_: None
    )
    assert {figure.name: figure.answers for figure in figures}["together"] == 0
    assert np.isfinite([figure.loss for figure in figures]).all()

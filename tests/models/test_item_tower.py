"""Item features and the item tower: absence, dropping, standardising, gradients of the table."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.models.fusion import FusionSettings
from recsys.models.id_embedding import IdEmbedding, grown
from recsys.models.item_features import ItemFeatures
from recsys.models.item_tower import ItemTower, ItemTowerSettings

N, D = 12, 8
KINDS = ["attention", "concat", "sum", "deep", "late"]


def catalogue(seed: int = 0) -> ItemFeatures:
    random = torch.Generator().manual_seed(seed)
    values = {
        "text": torch.randn(N, 5, generator=random),
        "image": 3 + 2 * torch.randn(N, 4, generator=random),
    }
    return ItemFeatures(tuple(values), values, torch.rand(N, 3, generator=random) < 0.6)


def tower(kind: str = "attention", **changes: float) -> ItemTower:
    torch.manual_seed(0)
    fusion = FusionSettings(kind=kind)  # type: ignore[arg-type]
    chosen = ItemTowerSettings(fusion=fusion, **changes)  # type: ignore[arg-type]
    module = ItemTower(chosen, {"text": 5, "image": 4}, N, D)
    module.standardise(catalogue())
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_absent_modalities_never_matter(kind: str) -> None:
    features, module = catalogue(), tower(kind).eval()
    values = {
        name: torch.where(features.present[:, place : place + 1], value, torch.nan)
        for place, (name, value) in enumerate(features.values.items())
    }
    poisoned = ItemFeatures(features.names, values, features.present)
    torch.testing.assert_close(module(poisoned), module(features))
    module(poisoned).sum().backward()
    for name, weight in module.named_parameters():
        gradient = weight.grad.to_dense() if weight.grad is not None else torch.zeros(())
        assert torch.isfinite(gradient).all(), name


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_id_is_the_same_for_every_item(kind: str) -> None:
    features = catalogue()
    module = tower(kind).eval()
    present = features.present.clone()
    present[:, -1] = False
    twin = features.gather(torch.tensor([4, 4]))
    renamed = ItemFeatures(twin.names, twin.values, present[[4, 4]], torch.tensor([-1, 7]))
    vectors = module(renamed)
    torch.testing.assert_close(vectors[0], vectors[1])


@pytest.mark.parametrize("kind", KINDS)
def test_modality_weights_cover_what_is_present(kind: str) -> None:
    features, module = catalogue(), tower(kind).eval()
    weights = module.modality_weights(features)
    if kind in ("concat", "sum"):
        assert weights is None
        return
    assert weights is not None
    some = features.present.any(1)
    assert (weights[~features.present & some[:, None]] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(N))


def test_gather_keeps_values_presence_and_table_rows() -> None:
    features, rows = catalogue(), torch.tensor([7, 2, 7])
    taken = features.gather(rows)
    assert taken.id_rows().tolist() == features.id_rows()[rows].tolist()
    torch.testing.assert_close(taken.values["image"], features.values["image"][rows])
    module = tower().eval()
    torch.testing.assert_close(module(taken), module(features)[rows])
    assert taken.gather(torch.tensor([1])).id_rows().item() == features.id_rows()[2]


def test_features_that_do_not_fit_are_refused() -> None:
    value = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="bool"):
        ItemFeatures(("text",), {"text": value}, torch.ones(3, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="order"):
        ItemFeatures(("text",), {"image": value}, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="must be"):
        ItemFeatures(("text",), {"text": value[:2]}, torch.ones(3, 2, dtype=torch.bool))


def test_golden_standardise() -> None:
    # text of the two that have it: 1 and 5, so mean 3, deviation 2; the constant column keeps 1
    values = {"text": torch.tensor([[1.0, 7.0], [5.0, 7.0], [900.0, 0.0]])}
    present = torch.tensor([[True, True], [True, True], [False, True]])
    module = ItemTower(ItemTowerSettings(), {"text": 2}, 3, D)
    module.standardise(ItemFeatures(("text",), values, present))
    state = module.state_dict()
    assert state["projections.0.mean"].tolist() == [3, 7]
    assert state["projections.0.deviation"].tolist() == [2, 1]


def placed(features: ItemFeatures) -> ItemFeatures:
    """The same items: only those that have a modality keep a vector of it."""
    values, places = {}, {}
    for number, (name, value) in enumerate(features.values.items()):
        has = features.present[:, number]
        places[name] = torch.where(has, has.cumsum(0) - 1, -1)
        values[name] = value[has]
    return replace(features, values=values, places=places)


def test_only_vectors_that_are_there_take_room() -> None:
    dense, features = catalogue(), placed(catalogue())
    assert len(features.values["text"]) < N
    learned = tower()
    learned.standardise(features)
    torch.testing.assert_close(learned.state_dict(), tower().state_dict())
    module, rows = tower().eval(), torch.tensor([7, 3, 3, 0])
    torch.testing.assert_close(module(features.gather(rows)), module(dense)[rows])
    torch.testing.assert_close(module(features.to("cpu")), module(dense))
    assert not features.gather(rows).places


def test_items_may_share_a_vector() -> None:
    text = torch.randn(2, 5)
    shared = ItemFeatures(
        ("text",), {"text": text}, torch.ones(3, 2, dtype=torch.bool),
        places={"text": torch.tensor([1, 0, 1])},
    )  # fmt: skip
    assert torch.equal(shared.each("text"), text[[1, 0, 1]])
    with pytest.raises(ValueError, match="must be"):
        replace(shared, places={"text": torch.tensor([1, 0])})


def test_a_modality_that_nobody_has() -> None:
    nobody = ItemFeatures(
        ("text",), {"text": torch.zeros(0, 5)}, torch.tensor([[False, True]] * 3),
        places={"text": torch.full((3,), -1)},
    )  # fmt: skip
    module = ItemTower(ItemTowerSettings(), {"text": 5}, 3, D).eval()
    module.standardise(nobody)
    assert module(nobody).isfinite().all()
    assert nobody.gather(torch.tensor([2])).values["text"].shape == (1, 5)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0, 0.95), st.floats(0, 0.95))
def test_dropping_never_adds_and_never_takes_all(seed: int, ids: float, content: float) -> None:
    module = tower(id_dropout=ids, modality_dropout=content)
    present = catalogue(seed).present
    torch.manual_seed(seed)
    kept = module._kept(present)
    assert not (kept & ~present).any()
    assert torch.equal(kept.any(1), present.any(1))


def test_share_of_dropped_ids() -> None:
    module = tower(id_dropout=0.3, modality_dropout=0.0)
    torch.manual_seed(0)
    kept = module._kept(torch.ones(20_000, 3, dtype=torch.bool))
    assert kept[:, :2].all()
    # standard deviation of the share: sqrt(.3 * .7 / 20000) = .0032
    assert kept[:, 2].float().mean().item() == pytest.approx(0.7, abs=0.02)


def test_evaluation_drops_nothing() -> None:
    module, features = tower(id_dropout=0.9).eval(), catalogue()
    torch.testing.assert_close(module(features), module(features), rtol=0, atol=0)


def test_only_rows_of_known_ids_get_a_gradient() -> None:
    module = tower(id_dropout=0.0)
    features = catalogue()
    module(features).square().sum().backward()
    gradient = module.id_embedding.table.weight.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert torch.equal(gradient.to_dense().any(1), features.present[:, -1])


def test_a_grown_table_keeps_its_rows() -> None:
    table = IdEmbedding(3, D)
    larger = grown(table, 5)
    old = table.table.weight
    torch.testing.assert_close(larger(torch.arange(3)), old)
    torch.testing.assert_close(larger(torch.tensor([4])), old.mean(0, keepdim=True))
    with pytest.raises(ValueError, match="cannot grow"):
        grown(table, 2)


def several(seed: int = 0) -> ItemFeatures:
    """Items with one to three pictures."""
    random = torch.Generator().manual_seed(seed)
    pictures = torch.randn(N, 3, 4, generator=random)
    pictures[torch.arange(N) % 3 == 0, 1:] = torch.nan
    pictures[torch.arange(N) % 3 == 1, 2:] = torch.nan
    values = {"text": torch.randn(N, 5, generator=random), "image": pictures}
    return ItemFeatures(tuple(values), values, torch.rand(N, 3, generator=random) < 0.8)


def test_at_the_start_every_picture_counts_the_same() -> None:
    torch.manual_seed(0)
    module = ItemTower(ItemTowerSettings(pooling="attention"), {"text": 5, "image": 4}, N, D).eval()
    features = several()
    module.standardise(features)
    present = torch.ones(N, dtype=torch.bool)
    pooled = module.projections[1](features.values["image"], present)
    for row in range(N):
        pictures = features.values["image"][row, : row % 3 + 1]
        each = module.projections[1](pictures, torch.ones(len(pictures), dtype=torch.bool))
        torch.testing.assert_close(pooled[row], each.mean(dim=0))


def test_the_order_of_pictures_and_what_stands_in_absent_items_never_matter() -> None:
    torch.manual_seed(0)
    module = ItemTower(ItemTowerSettings(pooling="attention"), {"text": 5, "image": 4}, N, D).eval()
    features = several()
    module.standardise(features)
    torch.nn.init.normal_(module.projections[1].query)
    turned = features.values["image"].flip(1)
    turned[~features.present[:, 1]] = torch.nan
    twin = ItemFeatures(features.names, features.values | {"image": turned}, features.present)
    torch.testing.assert_close(module(twin), module(features))
    module(twin).sum().backward()
    assert all(torch.isfinite(w.grad).all() for w in module.projections[1].parameters())


def test_a_tower_that_averages_takes_the_mean_of_several_pictures() -> None:
    features, module = several(), tower().eval()
    mean = torch.stack([row[~row.isnan().any(1)].mean(0) for row in features.values["image"]])
    averaged = ItemFeatures(features.names, features.values | {"image": mean}, features.present)
    torch.testing.assert_close(module(features), module(averaged))


def test_attention_learns_which_of_the_pictures_says_something() -> None:
    """Each item has one telling picture and two size charts, which are marked but vary widely."""
    random = torch.Generator().manual_seed(1)
    wanted = torch.randn(200, 4, generator=random)
    pictures = 3 * torch.randn(200, 3, 5, generator=random)
    pictures[:, :, 4] = 1.0
    pictures[torch.arange(200), torch.arange(200) % 3] = torch.cat(
        [wanted, torch.zeros(200, 1)], dim=1
    )
    features = ItemFeatures(("image",), {"image": pictures}, torch.ones(200, 2).bool())
    features.present[:, 1] = False
    losses = {}
    for pooling in ("mean", "attention"):
        torch.manual_seed(0)
        chosen = ItemTowerSettings(pooling=pooling)  # type: ignore[arg-type]
        module = ItemTower(chosen, {"image": 5}, 1, 16).eval()
        module.standardise(features)
        head = torch.nn.Linear(16, 4)
        weights = [
            *module.projections.parameters(),
            *module.fusion.parameters(),
            *head.parameters(),
        ]
        optimizer = torch.optim.Adam(weights, 0.02)
        for _ in range(80):
            optimizer.zero_grad()
            loss = (head(module(features)) - wanted).square().mean()
            loss.backward()
            optimizer.step()
        losses[pooling] = float(loss)
    assert losses["attention"] < 0.3 * losses["mean"]

"""Item features and the item tower: absence, dropping, standardising, gradients of the table."""

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

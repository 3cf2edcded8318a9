"""Both towers together: similarity, temperature, the last state, the same seed."""

from dataclasses import replace

import pytest
import torch

from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings
from recsys.models.user_tower import UserTowerSettings

N, D = 10, 8


def catalogue() -> ItemFeatures:
    present = torch.ones(N, 2, dtype=torch.bool)
    present[-1, -1] = False
    random = torch.Generator().manual_seed(0)
    return ItemFeatures(("text",), {"text": torch.randn(N, 3, generator=random)}, present)


def built(similarity: str = "cosine", seed: int = 0) -> two_tower.TwoTower:
    users = UserTowerSettings(max_length=4)
    chosen = ModelSettings(width=D, similarity=similarity, users=users)  # type: ignore[arg-type]
    return two_tower.build(chosen, catalogue(), ("view", "buy"), seed).eval()


def test_cosine_vectors_are_unit_vectors_and_dot_vectors_are_not() -> None:
    for similarity, unit in (("cosine", True), ("dot", False)):
        model = built(similarity)
        items = model.items(catalogue())
        ones = torch.ones(1, N, dtype=torch.long)
        states = model.users(items[None], ones, ones, ones.bool())
        for vectors in (items, states[0]):
            norms = vectors.norm(dim=-1)
            assert torch.allclose(norms, torch.ones(N)) is unit


def test_the_id_table_has_a_row_for_each_known_id() -> None:
    assert built().shape.table_rows == N - 1
    assert built().shape.modalities == (("text", 3),)


def test_same_seed_same_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second, third = built(seed=1), built(seed=1), built(seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    table = "item_tower.id_embedding.table.weight"
    assert not torch.equal(first.state_dict()[table], third.state_dict()[table])


def test_temperature_starts_as_set_and_stays_in_its_bounds() -> None:
    model = built()
    assert model.temperature.item() == pytest.approx(0.1)
    for value, bound in ((-9.0, 0.02), (9.0, 10.0)):
        model.log_temperatures.data.fill_(value)
        model.clamp_temperature()
        assert model.temperature.item() == pytest.approx(bound)


def test_a_grown_model_gives_old_items_the_same_vectors() -> None:
    model = built()
    rows = model.shape.table_rows
    larger = model.grown(rows + 3)
    assert (larger.shape.table_rows, model.shape.table_rows) == (rows + 3, rows)
    old = model.item_tower.id_embedding.table.weight
    new = larger.item_tower.id_embedding.table.weight
    torch.testing.assert_close(new[:rows], old, rtol=0, atol=0)
    torch.testing.assert_close(new[rows:], old.mean(dim=0).expand(3, -1))
    with pytest.raises(ValueError, match="cannot grow"):
        model.grown(rows - 1)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_items_are_handed_over_from_content_to_id(similarity: str) -> None:
    model, items = built(similarity), catalogue()
    hidden = items.present.clone()
    hidden[:, -1] = False
    whole, content = model.items(items), model.items(replace(items, present=hidden))
    counts = torch.arange(N) * 10.0
    model.learned_from(items, counts)
    assert torch.equal(model.items(items), whole)  # until it is set, nothing is mixed
    model.handover.fill_(30.0)
    mixed = model.items(items)
    share = (counts / (counts + 30))[:-1, None]
    expected = share * whole[:-1] + (1 - share) * content[:-1]
    if similarity == "cosine":
        expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(mixed[:-1], expected)
    assert torch.equal(mixed[-1], whole[-1])  # of an unknown id, content is all there is
    assert torch.equal(model.grown(N + 4).items(items), mixed)


def test_what_has_no_content_keeps_its_id_alone_and_training_never_mixes() -> None:
    model, items = built(), catalogue()
    items.present[2, 0] = False
    whole = model.items(items)
    model.handover.fill_(30.0)
    assert torch.equal(model.items(items)[2], whole[2])
    model.train()
    torch.manual_seed(0)
    before = model.items(items)
    model.handover.fill_(0.0)
    torch.manual_seed(0)
    assert torch.equal(model.items(items), before)


def test_a_model_without_an_id_gives_the_others_the_same_vectors() -> None:
    model, items = built(), catalogue()
    model.learned_from(items, torch.arange(N) * 10.0)
    model.handover.fill_(30.0)
    left = [row for row in range(N - 1) if row != 2]
    smaller = model.kept(left)
    assert smaller.shape.table_rows == N - 2
    others = replace(items.gather(torch.tensor(left)), table_rows=torch.arange(N - 2))
    assert torch.equal(smaller.items(others), model.items(items)[left])
    nobody = model.kept([])
    unknown = torch.full((N, 1), False)
    content = replace(items, present=torch.cat([items.present[:, :1], unknown], dim=1))
    assert torch.equal(nobody.items(content), model.items(content))


def test_a_user_vector_is_the_last_state_of_the_last_events() -> None:
    model = built()
    items = torch.randn(3, 7, D)
    events = torch.randint(1, 3, (3, 7))
    ages = torch.arange(700, 0, -100).expand(3, 7).clone()
    lengths = torch.tensor([7, 2, 4])
    mask = torch.arange(7) < lengths.unsqueeze(1)
    vectors = model.user_vectors(items, events, ages, mask)
    for row, length in enumerate(lengths.tolist()):
        window = slice(max(0, length - 4), length)
        one = slice(row, row + 1)
        states = model.users(
            items[one, window], events[one, window], ages[one, window], mask[one, window]
        )
        torch.testing.assert_close(vectors[row], states[0, -1])


def test_user_vectors_read_the_weights_of_the_same_events() -> None:
    users = UserTowerSettings(max_length=3, event_weights=True)
    model = two_tower.build(ModelSettings(width=D, users=users), catalogue(), ("view",), 0).eval()
    items, ones = torch.randn(1, 5, D), torch.ones(1, 5, dtype=torch.long)
    weights = torch.tensor([[9.0, 9.0, 1.0, 2.0, 4.0]])
    whole = model.user_vectors(items, ones, ones, ones.bool(), weights)
    late = [value[:, 2:] for value in (items, ones, ones, ones.bool(), weights)]
    torch.testing.assert_close(whole, model.users(*late)[:, -1])
    late[-1] = late[-1].flip(1)
    assert not torch.allclose(whole, model.users(*late)[:, -1])


def test_empty_histories_and_padding_in_front_are_refused() -> None:
    model = built()
    items, ones = torch.randn(1, 2, D), torch.ones(1, 2, dtype=torch.long)
    for mask in ([[False, False]], [[False, True]]):
        with pytest.raises(ValueError, match="history"):
            model.user_vectors(items, ones, ones, torch.tensor(mask))

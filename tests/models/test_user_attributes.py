"""Attributes of users: a golden case, hidden values, and what the towers make of them."""

import torch

from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings, TwoTower
from recsys.models.user_attributes import UserAttributes
from recsys.user_columns import UserColumn

COLUMNS = (
    UserColumn(name="city", values=("Paris", "Lyon")),
    UserColumn(name="age", edges=(30.0, 50.0)),
)


def model() -> TwoTower:
    features = ItemFeatures((), {}, torch.ones(4, 1, dtype=torch.bool))
    return two_tower.build(ModelSettings(width=8), features, ("view",), 0, COLUMNS).eval()


def test_golden_sum_of_values() -> None:
    attributes = UserAttributes([2, 3], 2, 0.0)
    with torch.no_grad():
        attributes.table.copy_(torch.tensor([[1.0, 0], [2, 0], [0, 1], [0, 2], [0, 4]]))
    # Lyon and the middle band: row 1 and row 2 + 1; then nothing but the last band; then nothing
    codes = torch.tensor([[1, 1], [-1, 2], [-1, -1]])
    assert attributes(codes).tolist() == [[2, 2], [0, 4], [0, 0]]


def test_hidden_values_are_about_as_many_as_asked() -> None:
    attributes = UserAttributes([1], 1, 0.25).train()
    with torch.no_grad():
        attributes.table.fill_(1.0)
    torch.manual_seed(0)
    told = attributes(torch.zeros(4000, 1, dtype=torch.long))
    assert abs(told.mean().item() - 0.75) < 0.03
    assert attributes.eval()(torch.zeros(1, 1, dtype=torch.long)).item() == 1.0


def test_nothing_known_is_a_model_without_attributes() -> None:
    towers, torch_random = model(), torch.Generator().manual_seed(0)
    torch.nn.init.normal_(towers.user_tower.attributes.table, generator=torch_random)
    history = (
        torch.randn(2, 3, 8, generator=torch_random),
        torch.ones(2, 3, dtype=torch.long),
        torch.tensor([[9, 5, 1], [9, 5, 1]]),
        torch.ones(2, 3, dtype=torch.bool),
    )
    alone = towers.user_vectors(*history)
    unknown = towers.user_vectors(*history, people=torch.full((2, 2), -1))
    known = towers.user_vectors(*history, people=torch.tensor([[0, -1], [1, 2]]))
    assert torch.equal(alone, unknown)
    assert not torch.allclose(alone, known)


def test_the_last_state_alone_is_the_last_of_all() -> None:
    towers, torch_random = model(), torch.Generator().manual_seed(1)
    torch.nn.init.normal_(towers.user_tower.attributes.table, generator=torch_random)
    items = torch.randn(1, 4, 8, generator=torch_random)
    ages, events = torch.tensor([[8, 6, 4, 1]]), torch.ones(1, 4, dtype=torch.long)
    mask, people = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[1, 0]])
    states = towers.users(items, events, ages, mask, people=people)
    last = towers.user_vectors(items, events, ages, mask, people=people)
    torch.testing.assert_close(states[:, -1], last)


def test_they_learn_what_a_segment_prefers() -> None:
    attributes = UserAttributes([2, 3], 4, 0.0)
    wanted = torch.randn(2, 4, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.Adam(attributes.parameters(), lr=0.1)
    codes = torch.tensor([[0, -1], [1, -1]])
    for _ in range(300):
        optimizer.zero_grad()
        ((attributes(codes) - wanted) ** 2).sum().backward()
        optimizer.step()
    torch.testing.assert_close(attributes(codes), wanted, atol=1e-3, rtol=0)
    assert not attributes.table[2:].any()  # of whom nobody was seen

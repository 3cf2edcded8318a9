"""One suite for every user tower: causality, padding, determinism, gradients; then golden means."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys.models import user_tower
from recsys.models.event_inputs import weight_bucket
from recsys.models.user_tower import UserTower, UserTowerSettings

B, L, D = 3, 6, 8
KINDS = ["transformer", "gru", "attention", "mean"]


def built(kind: str, **changes: object) -> UserTower:
    torch.manual_seed(0)
    chosen = UserTowerSettings(kind=kind, max_length=8, **changes)  # type: ignore[arg-type]
    tower = UserTower(chosen, 4, D)
    for name, weight in tower.named_parameters():
        if "bias" in name:  # biases start at zero and would hide a leak
            torch.nn.init.normal_(weight)
    return tower.eval()


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    items = torch.randn(B, L, D, generator=random)
    events = torch.randint(1, 4, (B, L), generator=random)
    gaps = torch.randint(0, 10_000, (B, L), generator=random)
    ages = gaps.flip(1).cumsum(1).flip(1)
    mask = torch.arange(L) < torch.tensor([L, 4, 1]).unsqueeze(1)
    return items, events, ages, mask


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", range(1, L))
def test_a_later_event_or_its_time_never_moves_a_state(kind: str, at: int) -> None:
    tower = built(kind)
    items, events, ages, mask = batch()
    before = tower(items, events, ages, mask)
    later = torch.arange(L) >= at
    # also shifts the window's end, which no state may notice
    changed = tower(
        torch.where(later[:, None], -3 * items, items),
        torch.where(later, 4 - events, events),
        torch.where(later, ages // 3, ages) + 0,
        mask,
    )
    torch.testing.assert_close(changed[:, :at], before[:, :at])
    assert not torch.allclose(changed[0, at:], before[0, at:])


@pytest.mark.parametrize("kind", KINDS)
def test_the_windows_end_does_not_matter(kind: str) -> None:
    items, events, ages, mask = batch()
    tower = built(kind)
    torch.testing.assert_close(
        tower(items, events, ages + 777, mask), tower(items, events, ages, mask)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_time", [False, True])
def test_padding_and_neighbours_do_not_matter(kind: str, request_time: bool) -> None:
    tower = built(kind, request_time=request_time)
    items, events, ages, mask = batch()
    states = tower(items, events, ages, mask)
    poisoned = tower(
        torch.where(mask[..., None], items, 1e3),
        torch.where(mask, events, 0),
        torch.where(mask, ages, -9),
        mask,
    )
    torch.testing.assert_close(poisoned[mask], states[mask])
    for row, length in enumerate([L, 4, 1]):
        alone = tower(
            items[row : row + 1, :length],
            events[row : row + 1, :length],
            ages[row : row + 1, :length],
            mask[row : row + 1, :length],
        )
        torch.testing.assert_close(alone[0], states[row, :length])


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_repeats_and_training_reaches_every_weight(kind: str) -> None:
    tower = built(kind, dropout=0.5)
    arguments = batch()
    torch.testing.assert_close(tower(*arguments), tower(*arguments), rtol=0, atol=0)
    tower.train()
    (tower(*arguments) * torch.randn(D)).square().sum().backward()
    missing = [name for name, weight in tower.named_parameters() if weight.grad is None]
    assert missing == []


@pytest.mark.parametrize("kind", KINDS)
def test_event_type_and_time_matter(kind: str) -> None:
    tower = built(kind)
    items, events, ages, mask = batch()
    states = tower(items, events, ages, mask)[0, -1]
    assert not torch.allclose(tower(items, 4 - events, ages, mask)[0, -1], states)
    assert not torch.allclose(tower(items, events, ages * 50, mask)[0, -1], states)


@pytest.mark.parametrize("kind", KINDS)
def test_histories_longer_than_trained_give_finite_states(kind: str) -> None:
    tower = built(kind)
    states = tower(
        torch.randn(1, 40, D), torch.ones(1, 40, dtype=torch.long),
        torch.arange(40).flip(0).unsqueeze(0), torch.ones(1, 40, dtype=torch.bool),
    )  # fmt: skip
    assert torch.isfinite(states).all()


def test_request_time_reads_the_moment_of_the_request_and_nothing_else_of_the_future() -> None:
    tower = built("transformer", request_time=True)
    items, events, ages, mask = batch()
    before = tower(items, events, ages, mask)
    other_item = items.clone()
    other_item[:, 3] += 1
    torch.testing.assert_close(tower(other_item, events, ages, mask)[:, :3], before[:, :3])
    later_end = tower(items, events, ages + 10**6, mask)
    torch.testing.assert_close(later_end[0, :-1], before[0, :-1])
    assert not torch.allclose(later_end[0, -1], before[0, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_event_weights_matter_from_their_event_on_and_not_in_padding(kind: str) -> None:
    tower = built(kind, event_weights=True)
    items, events, ages, mask = batch()
    weights = torch.rand(B, L) + 1
    before = tower(items, events, ages, mask, weights)
    later = torch.arange(L) >= 2
    changed = tower(items, events, ages, mask, torch.where(later, 3 * weights, weights))
    torch.testing.assert_close(changed[:, :2], before[:, :2])
    assert not torch.allclose(changed[0, 2:], before[0, 2:])
    poisoned = tower(items, events, ages, mask, torch.where(mask, weights, -7))
    torch.testing.assert_close(poisoned[mask], before[mask])
    with pytest.raises(ValueError, match="pass them"):
        tower(items, events, ages, mask)


def test_a_tower_that_does_not_read_event_weights_ignores_them() -> None:
    tower = built("transformer")
    torch.testing.assert_close(tower(*batch(), torch.rand(B, L)), tower(*batch()), rtol=0, atol=0)


def test_golden_weight_buckets() -> None:
    # 64 + 8 log2(w), within 0 to 128
    weights = torch.tensor([1.0, 2.0, 0.5, 256.0, 1e9, 0.0, -3.0])
    assert weight_bucket(weights).tolist() == [64, 72, 56, 128, 128, 0, 0]
    stars = torch.arange(0.5, 5.5, 0.5)
    assert len(weight_bucket(stars).unique()) == 10


def test_gru_equals_a_loop() -> None:
    tower = built("gru", blocks=1, long_term=False)
    items, events, ages, mask = batch()
    inputs = tower.inputs(items, events, ages, None, None)
    gru = tower.recurrent
    state = torch.zeros(B, D)
    for place in range(L):
        new = inputs[:, place] @ gru.weight_ih_l0.T + gru.bias_ih_l0
        old = state @ gru.weight_hh_l0.T + gru.bias_hh_l0
        reset, update = (new + old)[:, : 2 * D].sigmoid().chunk(2, dim=1)
        proposal = (new[:, 2 * D :] + reset * old[:, 2 * D :]).tanh()
        state = update * state + (1 - update) * proposal
        expected = tower.norm(state)
        torch.testing.assert_close(tower(items, events, ages, mask)[:, place], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_close_to_float32(kind: str) -> None:
    tower = built(kind)
    expected = tower(*batch())
    with torch.autocast("cpu", torch.bfloat16):
        found = tower(*batch())
    # bfloat16 has 8 bits: each layer errs by about 2^-8 of the numbers added up
    assert (found.float() - expected).norm() < 0.03 * expected.norm()


def test_golden_request_ages() -> None:
    # states are asked when the next event happens; the last one of a row at the window's end
    ages = torch.tensor([[90, 50, 20], [70, 30, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert user_tower.request_ages(ages, mask).tolist() == [[50, 20, 0], [30, 0, 0]]


def test_golden_running_mean() -> None:
    # decay 1/2 over 2, 4, 8: 2; (1 + 4) / 1.5; (.5 + 2 + 8) / 1.75
    values = torch.tensor([[[2.0], [4.0], [8.0]]])
    expected = torch.tensor([[[2.0], [5 / 1.5], [10.5 / 1.75]]])
    torch.testing.assert_close(user_tower.running_mean(values, 0.5), expected)


@settings(max_examples=25)
@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=9), st.floats(0.1, 1))
def test_running_mean_equals_a_loop(numbers: list[float], decay: float) -> None:
    found = user_tower.running_mean(torch.tensor(numbers).view(1, -1, 1), decay).flatten()
    total = weight = 0.0
    for place, number in enumerate(numbers):
        total, weight = decay * total + number, decay * weight + 1
        assert (
            found[place].item() == torch.tensor(total / weight).item()
            or abs(found[place].item() - total / weight) < 1e-4
        )

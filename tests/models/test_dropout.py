"""Dropout: its rate, its mean, its gradient, and that a generator's state brings it back."""

import torch

from recsys.models.dropout import Dropout


def test_the_share_and_the_mean_are_those_asked_for() -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.2)(torch.ones(1000, 101))
    # 51 of 256 byte values are zeroed; 5 standard deviations of 101,000 draws are .0063
    assert abs(float((dropped == 0).float().mean()) - 51 / 256) < 0.0063
    assert abs(float(dropped.mean()) - 1) < 0.008
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(256 / 205).item()}


def test_every_byte_of_a_draw_decides_alike() -> None:
    torch.manual_seed(1)
    zeroed = (Dropout(0.5)(torch.ones(20_000, 8)) == 0).float().mean(dim=0)
    assert (zeroed - 0.5).abs().max() < 0.02  # 5 standard deviations of 20,000 draws: .018


def test_what_was_zeroed_has_no_gradient_and_the_rest_the_same_factor() -> None:
    values = torch.randn(7, 5, requires_grad=True)
    dropped = Dropout(0.3)(values)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, dropped == 0)
    assert torch.allclose(values.grad * values, dropped)


def test_the_generators_state_brings_it_back() -> None:
    layer, values = Dropout(0.2), torch.randn(3, 11)
    state = torch.get_rng_state()
    first = layer(values)
    assert not torch.equal(layer(values), first)
    torch.set_rng_state(state)
    assert torch.equal(layer(values), first)
    assert torch.equal(layer.eval()(values), values)

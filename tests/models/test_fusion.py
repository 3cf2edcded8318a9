"""One suite for every fusion, and what each adds to it."""

import pytest
import torch
from torch import Tensor

from recsys.models import fusion
from recsys.models.fusion import AttentionFusion, FusionSettings

KINDS = ["attention", "concat", "sum"]
M, D = 3, 8


def tokens(items: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    present = torch.rand(items, M, generator=random) < 0.6
    present[0] = False
    present[1] = True
    return torch.randn(items, M, D, generator=random), present


def built(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return fusion.build(FusionSettings(kind=kind), M, D)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_one_finite_vector_an_item_even_without_any_modality(kind: str) -> None:
    values, present = tokens()
    fused = built(kind)(values, present)
    assert fused.shape == (6, D)
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("kind", KINDS)
def test_items_do_not_see_each_other(kind: str) -> None:
    values, present = tokens()
    module, order = built(kind), torch.tensor([3, 0, 5, 1, 2, 4])
    fused = module(values, present)
    torch.testing.assert_close(module(values[order], present[order]), fused[order])
    torch.testing.assert_close(module(values[2:3], present[2:3]), fused[2:3])


@pytest.mark.parametrize("kind", KINDS)
def test_every_present_token_and_every_weight_gets_a_gradient(kind: str) -> None:
    values, present = tokens()
    values.requires_grad_()
    module = built(kind)
    for weight in module.parameters():  # zeros at the start would hide a gradient behind them
        torch.nn.init.normal_(weight, std=0.3)
    module(values, present).square().sum().backward()
    assert values.grad is not None
    assert (values.grad.abs().sum(-1) > 0)[present].all()
    assert all(weight.grad is not None and weight.grad.any() for weight in module.parameters())


def test_attention_starts_as_the_mean_of_what_is_present_and_ignores_the_rest() -> None:
    values, present = tokens()
    module = built("attention")
    assert isinstance(module, AttentionFusion)
    torch.nn.init.zeros_(module.query)
    changed = torch.where(present.unsqueeze(-1), values, values + 9)
    fused = module(values, present)
    torch.testing.assert_close(fused[1:], module(changed, present)[1:])
    for item in range(1, 6):
        torch.testing.assert_close(fused[item], values[item][present[item]].mean(0))


def test_attention_weights_sum_to_one_over_present_modalities() -> None:
    values, present = tokens()
    module = built("attention")
    assert isinstance(module, AttentionFusion)
    weights = module.weights(values, present)
    torch.testing.assert_close(weights.sum(1), torch.ones(6, 4))
    assert (weights[1:][~present[1:]] == 0).all()


def test_golden_sum() -> None:
    # two modalities: (1 + 3, 2 + 4) / sqrt 2
    fused = fusion.build(FusionSettings(kind="sum"), 2, 2)(
        torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[True, True]])
    )
    torch.testing.assert_close(fused, torch.tensor([[4.0, 6.0]]) / 2**0.5)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="divide"):
        fusion.build(FusionSettings(heads=3), 2, 8)

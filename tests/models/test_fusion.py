"""One suite for every fusion, then golden cases and plain loops of sum and late."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys.models import fusion
from recsys.models.fusion import FusionSettings, LateFusion

SCORERS = ["scaled_dot_product", "linear", "bilinear", "tanh"]
KINDS = ["concat", "sum", "late", "deep", *SCORERS]
BLIND = ["late", "deep", *SCORERS]  # these never look at absent tokens, and report weights
SYMMETRIC = ["sum", "deep", *SCORERS]
M, D = 3, 8


def tokens(items: int = 6, seed: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    present = torch.rand(items, M, generator=random) < 0.6
    present[0] = False
    present[1] = True
    return torch.randn(items, M, D, generator=random), present


def built(kind: str, *, lively: bool = False, **changes: object) -> torch.nn.Module:
    """A fusion; `lively` fills its weights at random, since zeros hide what stands behind them."""
    torch.manual_seed(0)
    chosen = {"scorer": kind} if kind in SCORERS else {"kind": kind}
    module = fusion.build(FusionSettings(**chosen, **changes), M, D)  # type: ignore[arg-type]
    if lively:
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_one_finite_vector_an_item_even_without_any_modality(kind: str) -> None:
    values, present = tokens()
    fused = built(kind)(values, present)
    assert fused.shape == (6, D)
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("kind", KINDS)
def test_items_do_not_see_each_other(kind: str) -> None:
    values, present = tokens()
    module, order = built(kind, lively=True), torch.tensor([3, 0, 5, 1, 2, 4])
    fused = module(values, present)
    torch.testing.assert_close(module(values[order], present[order]), fused[order])
    torch.testing.assert_close(module(values[2:3], present[2:3]), fused[2:3])


@pytest.mark.parametrize("kind", KINDS)
def test_every_present_token_and_every_weight_gets_a_gradient(kind: str) -> None:
    values, present = tokens()
    values.requires_grad_()
    module = built(kind, lively=True)
    fused = module(values, present)
    (fused * torch.randn(fused.shape)).sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    assert (values.grad.abs().sum(-1) > 0)[present].all()
    assert all(weight.grad is not None and weight.grad.any() for weight in module.parameters())
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())


@pytest.mark.parametrize("kind", BLIND)
@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-100, 100, width=32))
def test_absent_modalities_have_no_influence(kind: str, seed: int, poison: float) -> None:
    values, present = tokens(seed=seed)
    some = present.any(1)
    changed = torch.where(present.unsqueeze(-1), values, poison)
    module = built(kind, lively=True)
    torch.testing.assert_close(module(values, present)[some], module(changed, present)[some])


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_the_order_of_modalities_does_not_matter(kind: str) -> None:
    values, present = tokens()
    module, order = built(kind, lively=True), [2, 0, 1]
    torch.testing.assert_close(module(values[:, order], present[:, order]), module(values, present))


def test_the_order_of_modalities_moves_the_weights_of_concat_with_it() -> None:
    values, present = tokens()
    module, order = built("concat"), [2, 0, 1]
    expected = module(values, present)
    by_modality = module.expand.weight.data.view(-1, M, D)
    module.expand.weight.data = by_modality[:, order].flatten(1)
    torch.testing.assert_close(module(values[:, order], present), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_sum_to_one_over_present_modalities(kind: str) -> None:
    values, present = tokens()
    weights = fusion.modality_weights(built(kind, lively=True), values, present)
    if kind not in BLIND:
        assert weights is None
        return
    assert weights is not None
    torch.testing.assert_close(weights.sum(1), torch.ones(6))
    assert (weights[1:][~present[1:]] == 0).all()
    assert (weights[0] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_close_to_float32(kind: str) -> None:
    values, present = tokens()
    module = built(kind, lively=True)
    expected = module(values, present)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(values, present)
    assert torch.isfinite(found).all()
    # bfloat16 has 8 bits: each of a few layers errs by about 2^-8 of the numbers added up
    assert (found.float() - expected).norm() < 0.03 * expected.norm()


def test_late_scores_are_sums_of_the_scores_of_modalities() -> None:
    values, present = tokens()
    module = built("late", lively=True)
    assert isinstance(module, LateFusion)
    user = torch.randn(D)
    scores = module(values, present) @ user
    shares = module.logits.exp()
    for item in range(1, 6):
        expected, start = 0.0, 0
        seen = shares[present[item]].sum()
        for m, project in enumerate(module.slices):
            vector = project(values[item, m])
            mine, start = user[start : start + len(vector)], start + len(vector)
            if present[item, m]:
                expected += ((shares[m] / seen).sqrt() * (mine @ vector / vector.norm())).item()
        assert float(scores[item]) == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(module(values, present).norm(dim=1), torch.ones(6))


def test_golden_late() -> None:
    # logits log 1 and log 3: weights 1/4 and 3/4; slices (3, 4) -> (.6, .8) and 5 -> 1
    module = LateFusion(2, 3)
    assert [project.weight.shape[0] for project in module.slices] == [2, 1]
    module.logits.data = torch.tensor([1.0, 3.0]).log()
    module.slices[0].weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    module.slices[1].weight.data = torch.tensor([[0.0, 0.0, 1.0]])
    values = torch.tensor([[[3.0, 4.0, 9.0], [7.0, 7.0, 5.0]]])
    both = torch.tensor([[0.5 * 0.6, 0.5 * 0.8, 0.75**0.5]])
    torch.testing.assert_close(module(values, torch.tensor([[True, True]])), both)
    first = torch.tensor([[0.6, 0.8, 0.0]])
    torch.testing.assert_close(module(values, torch.tensor([[True, False]])), first)


def test_golden_sum() -> None:
    # two modalities: (1 + 3, 2 + 4) / sqrt 2
    fused = fusion.build(FusionSettings(kind="sum"), 2, 2)(
        torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[True, True]])
    )
    torch.testing.assert_close(fused, torch.tensor([[4.0, 6.0]]) / 2**0.5)


def test_late_needs_a_number_for_each_modality() -> None:
    with pytest.raises(ValueError, match="needs a width"):
        fusion.build(FusionSettings(kind="late"), 5, 4)

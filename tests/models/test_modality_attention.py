"""Attention over modalities against plain loops, and its weights worked out by hand."""

import math
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.models.modality_attention import AttentionFusion, DeepFusion, Scorer

SCORERS: list[Scorer] = ["scaled_dot_product", "linear", "bilinear", "tanh"]
M, D = 3, 8
Module = TypeVar("Module", bound=nn.Module)


def tokens() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    present = torch.rand(6, M, generator=random) < 0.6
    present[1:, 0] |= ~present[1:].any(1)
    return torch.randn(6, M, D, generator=random), present


def lively(module: Module) -> Module:
    """Weights at random: zeros would hide what stands behind them."""
    torch.manual_seed(0)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return module


@pytest.mark.parametrize("scorer", SCORERS)
def test_attention_equals_a_loop(scorer: Scorer) -> None:
    values, present = tokens()
    module = lively(AttentionFusion(D, D, 2, scorer))
    fused = module(values, present)
    for item in range(1, 6):
        seen = [m for m in range(M) if present[item, m]]
        context = sum(values[item, m] for m in seen) / len(seen)
        pooled = []
        for head in range(2):
            part = slice(head * 4, head * 4 + 4)
            scores = [_score(module, scorer, head, values[item, m], context) for m in seen]
            total = sum(math.exp(score) for score in scores)
            pooled.append(torch.zeros(4))
            for score, m in zip(scores, seen, strict=True):
                token = values[item, m]
                gate = 2 * torch.sigmoid(module.gate(token)[head])
                pooled[head] += math.exp(score) / total * gate * module.value(token)[part]
        together = torch.cat(pooled)
        refined = module.contract(functional.gelu(module.expand(module.norm(together))))
        torch.testing.assert_close(fused[item], together + refined)


def _score(
    module: AttentionFusion, scorer: Scorer, head: int, token: Tensor, context: Tensor
) -> float:
    part = slice(head * 4, head * 4 + 4)
    if scorer == "linear":
        return (module.query[head] @ token).item()
    key = module.key(token)[part]
    match scorer:
        case "scaled_dot_product":
            return (module.query[head] @ key).item() / 2  # the root of 4 numbers a head
        case "bilinear":
            return (context[part] @ key).item() / 2
    return (module.query[head] @ key.tanh()).item()


@pytest.mark.parametrize("scorer", SCORERS)
def test_attention_starts_near_the_mean_of_what_is_present(scorer: Scorer) -> None:
    values, present = tokens()
    module = AttentionFusion(D, D, 4, scorer)
    torch.nn.init.zeros_(module.key.weight if scorer == "bilinear" else module.query)
    fused = module(values, present)
    for item in range(1, 6):
        torch.testing.assert_close(fused[item], values[item][present[item]].mean(0))


def test_deep_equals_attention_over_what_is_present_then_pooling() -> None:
    values, present = tokens()
    module = lively(DeepFusion(AttentionFusion(D, D, 4, "linear"), D, D, 4, blocks=2)).eval()
    fused = module(values, present)
    for item in range(1, 6):
        read = values[item : item + 1, present[item]]  # absent ones cut out, no mask needed
        for block in module.blocks:
            read = block(read)
        alone = module.pooling(read, torch.ones(read.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(fused[item], alone[0])


def test_deep_is_the_same_in_training_and_in_evaluation() -> None:
    values, present = tokens()
    module = lively(DeepFusion(AttentionFusion(D, D, 4, "linear"), D, D, 4, blocks=1))
    trained = module.train()(values, present)
    with torch.inference_mode():
        torch.testing.assert_close(module.eval()(values, present), trained)


def test_golden_weights_of_each_scorer() -> None:
    # one head, D = 1, K = 1: tokens 1 and 2, query 2, no bias; the mean token is 1.5
    values, present = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[True, True]])
    second = {
        "scaled_dot_product": 4 - 2,
        "linear": 4 - 2,
        "bilinear": 1.5 * 2 - 1.5 * 1,
        "tanh": 2 * math.tanh(2) - 2 * math.tanh(1),
    }
    for scorer, difference in second.items():
        module = AttentionFusion(1, 1, 1, scorer)  # type: ignore[arg-type]
        for name, weight in module.named_parameters():
            if name.startswith(("key", "query")):
                torch.nn.init.constant_(weight, {"key.weight": 1.0, "query": 2.0}.get(name, 0.0))
        expected = 1 / (1 + math.exp(-difference))
        found = module.weights(values, present)[0, 1, 0]
        assert float(found) == pytest.approx(expected, abs=1e-6)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="divide"):
        AttentionFusion(8, 8, 3, "tanh")

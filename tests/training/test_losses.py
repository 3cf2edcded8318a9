"""The softmax loss: by hand, against torch in float64, and its properties."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from recsys.training import losses
from recsys.training.losses import Grouped


def case(seed: int, positions: int = 7, candidates: int = 9, width: int = 4) -> dict[str, Any]:
    random = torch.Generator().manual_seed(seed)
    return {
        "states": torch.randn(positions, width, generator=random, dtype=torch.float64),
        "candidates": torch.randn(candidates, width, generator=random, dtype=torch.float64),
        "target_index": torch.randint(0, candidates, (positions,), generator=random),
        "log_q": -torch.rand(candidates, generator=random, dtype=torch.float64) * 20,
        "mask": Grouped(
            torch.rand(positions, candidates, generator=random) < 0.4, torch.arange(positions)
        ),
        "weights": torch.rand(positions, generator=random, dtype=torch.float64) + 0.1,
        "trends": Grouped(
            torch.randn(3, candidates, generator=random, dtype=torch.float64),
            torch.randint(0, 3, (positions,), generator=random),
        ),
    }


def oracle(
    states: Tensor,
    candidates: Tensor,
    target_index: Tensor,
    log_q: Tensor,
    mask: Grouped,
    weights: Tensor,
    trends: Grouped,
) -> Tensor:
    logits = states @ candidates.T - log_q + trends.values[trends.rows]
    at_target = functional.one_hot(target_index, len(candidates)).bool()
    logits = logits.masked_fill(mask.values[mask.rows] & ~at_target, -torch.inf)
    each = functional.cross_entropy(logits, target_index, reduction="none")
    return (each * weights).sum() / weights.sum()


def test_golden() -> None:
    # Users (1, 0) and (0, 1); items a = (1, 0), b = (0, 1), c = (1, 1); temperature 1/2.
    # Scores / temperature: 2 0 2 and 0 2 2. q = 1/2, 1/4, 1 adds log 2, log 4, 0, so that the
    # exponentials are 2e^2 4 e^2 and 2 4e^2 e^2.
    # First user, target a: log((2e^2 + 4 + e^2) / 2e^2).
    # Second user, target c, b and c masked; a target is never masked: log((2 + e^2) / e^2).
    square = math.e**2
    first = math.log((3 * square + 4) / (2 * square))
    second = math.log((2 + square) / square)
    found = losses.softmax(
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]) / 0.5,
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        torch.tensor([0, 2]),
        torch.tensor([0.5, 0.25, 1.0]).log(),
        Grouped(torch.tensor([[False, False, False], [False, True, True]]), torch.arange(2)),
        torch.tensor([1.0, 3.0]),
    )
    assert found.item() == pytest.approx((first + 3 * second) / 4, abs=1e-6)


def test_the_chain_hides_every_masked_item_but_the_target() -> None:
    places = losses.masked_places(torch.ones(2, 3) > 0)
    logits = losses.hide(torch.zeros(2, 3), torch.tensor([0, 2]), places)
    assert logits.tolist() == [[0, -math.inf, -math.inf], [-math.inf, -math.inf, 0]]


def test_places_of_a_mask() -> None:
    mask = torch.tensor([[False, True, True], [False, False, False], [True, False, False]])
    places = losses.masked_places(mask)
    assert places.tolist() == [[1, 2], [-1, -1], [0, -1]]
    logits = losses.hide(torch.zeros(3, 3), torch.tensor([1, 1, 1]), places)
    assert logits.tolist() == [[0, 0, -math.inf], [0, 0, 0], [-math.inf, 0, 0]]
    assert losses.masked_places(mask[:0]).shape == (0, 0)


@pytest.mark.parametrize("block", [1, 18, 1 << 20])
def test_loss_and_gradients_equal_torch_in_float64(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_SCORES", block)
    ours, theirs = case(3), case(3)
    for arguments in (ours, theirs):
        for name in ("states", "candidates"):
            arguments[name].requires_grad_()
        arguments["trends"].values.requires_grad_()
    found, expected = losses.softmax(**ours), oracle(**theirs)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    (3 * found).backward()
    (3 * expected).backward()
    for name in ("states", "candidates"):
        torch.testing.assert_close(ours[name].grad, theirs[name].grad, rtol=1e-6, atol=1e-7)
    by_trends = (case_["trends"].values.grad for case_ in (ours, theirs))
    torch.testing.assert_close(*by_trends, rtol=1e-6, atol=1e-7)


def test_rows_of_a_shared_mask() -> None:
    arguments = case(5)
    rows = torch.tensor([2, 0, 0, 1, 2, 1, 1])
    shared = arguments.pop("mask").values[:3]
    found = losses.softmax(**arguments, mask=Grouped(shared, rows))
    apart = Grouped(shared[rows], torch.arange(7))
    torch.testing.assert_close(found, losses.softmax(**arguments, mask=apart))


def test_a_candidate_that_is_not_there_yet_does_not_count() -> None:
    arguments = case(6)
    arguments["target_index"] = torch.zeros(7, dtype=torch.int64)
    gone = Grouped(torch.zeros(1, 9, dtype=torch.float64), torch.zeros(7, dtype=torch.int64))
    gone.values[0, 5] = -torch.inf
    arguments["states"].requires_grad_()
    found = losses.softmax(**{**arguments, "trends": gone})
    found.backward()
    fewer = [0, 1, 2, 3, 4, 6, 7, 8]
    mask = Grouped(arguments["mask"].values[:, fewer], torch.arange(7))
    expected = losses.softmax(
        arguments["states"], arguments["candidates"][fewer], arguments["target_index"],
        arguments["log_q"][fewer], mask, arguments["weights"],
    )  # fmt: skip
    torch.testing.assert_close(found, expected)
    assert torch.isfinite(arguments["states"].grad).all()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 8), st.floats(-60, 0))
def test_halving_q_adds_log_2_however_rare_the_item(seed: int, item: int, rarity: float) -> None:
    arguments = case(seed)
    log_q = arguments["log_q"].clone()
    log_q[item] = rarity
    halved = log_q.clone()
    halved[item] -= math.log(2)
    two = (arguments["states"], arguments["candidates"])
    change = losses.corrected(*two, halved) - losses.corrected(*two, log_q)
    expected = torch.zeros_like(change)
    expected[:, item] = math.log(2)
    torch.testing.assert_close(change, expected)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_candidates_and_positions_does_not_matter(seed: int, random: object) -> None:
    arguments = case(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    columns = torch.randperm(9, generator=generator)
    rows = torch.randperm(7, generator=generator)
    place = torch.empty_like(columns)
    place[columns] = torch.arange(9)
    moved = losses.softmax(
        arguments["states"][rows],
        arguments["candidates"][columns],
        place[arguments["target_index"][rows]],
        arguments["log_q"][columns],
        Grouped(arguments["mask"].values[rows][:, columns], torch.arange(7)),
        arguments["weights"][rows],
        Grouped(arguments["trends"].values[:, columns], arguments["trends"].rows[rows]),
    )
    torch.testing.assert_close(moved, losses.softmax(**arguments))


def test_a_sampled_sum_with_inclusion_probabilities_estimates_the_full_one() -> None:
    # 20,000 samples of half the catalogue: the mean of sum exp(logit - log q) is the full sum
    torch.manual_seed(0)
    scores = torch.randn(1, 40, dtype=torch.float64)
    q = torch.linspace(0.2, 0.9, 40, dtype=torch.float64)
    drawn = torch.rand(20_000, 40) < q
    ones = torch.ones(1, 1, dtype=torch.float64)
    logits = losses.corrected(ones, scores.T, q.log())
    estimate = (drawn * logits.exp()).sum(1).mean()
    assert estimate.item() == pytest.approx(scores.exp().sum().item(), rel=0.01)


def test_weights_of_zero_and_shapes_that_do_not_fit() -> None:
    arguments = case(1)
    silent = {**arguments, "weights": torch.zeros(7)}
    assert losses.softmax(**silent).item() == 0
    for name, wrong in {
        "candidates": arguments["candidates"][:, :2],
        "target_index": arguments["target_index"][:3],
        "mask": Grouped(arguments["mask"].values[:, :4], torch.arange(7)),
        "trends": Grouped(arguments["trends"].values, torch.arange(3)),
    }.items():
        with pytest.raises(ValueError, match=r"fit|mask|trends"):
            losses.softmax(**{**arguments, name: wrong})


def test_far_apart_logits_stay_exact() -> None:
    # by hand: logits 200 and 0, the target at 0: loss log(exp(200) + 1) - 0 = 200
    states = torch.tensor([[200.0]], requires_grad=True)
    candidates = torch.tensor([[1.0], [0.0]])
    loss = losses.softmax(states, candidates, torch.tensor([1]))
    assert loss.item() == 200.0
    loss.backward()
    assert states.grad is not None
    assert states.grad.item() == 1.0  # (1, 0) - (0, 1), times the candidates

"""Buckets and causal attention against a loop."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.models import attention
from recsys.models.attention import NEAR, TIME_BUCKETS, CausalAttention


def test_golden_time_buckets() -> None:
    # floor(log2(s + 1)): 0 -> 0, 1 and 2 -> 1, 3 -> 2, 7 -> 3, a day 86400 -> 16
    seconds = torch.tensor([-5, 0, 1, 2, 3, 7, 86_400, 2**40])
    assert attention.time_bucket(seconds).tolist() == [0, 0, 1, 1, 2, 3, 16, TIME_BUCKETS - 1]


@given(st.integers(0, 2**33), st.integers(0, 2**33))
def test_time_buckets_keep_the_order(first: int, second: int) -> None:
    low, high = attention.time_bucket(torch.tensor(sorted((first, second)))).tolist()
    assert low <= high


def test_golden_distance_buckets() -> None:
    buckets = attention.distance_bucket(200, torch.device("cpu"))
    assert buckets[5, :7].tolist() == [5, 4, 3, 2, 1, 0, 0]
    assert buckets[NEAR, 0] == NEAR
    assert buckets[63, 0] == NEAR
    assert buckets[64, 0] == NEAR + 1


def test_attention_equals_a_loop() -> None:
    torch.manual_seed(0)
    length, width, heads = 5, 8, 2
    module = CausalAttention(width, heads, biased=True)
    assert module.bias is not None
    torch.nn.init.normal_(module.bias.time)
    torch.nn.init.normal_(module.bias.distance)
    states = torch.randn(1, length, width)
    ages = torch.tensor([900, 500, 500, 20, 3])
    times = attention.time_bucket(ages.unsqueeze(0) - ages.unsqueeze(1)).unsqueeze(0)
    distances = attention.distance_bucket(length, torch.device("cpu"))
    query, key, value = module.project(states[0]).chunk(3, dim=-1)
    rows = []
    for here in range(length):
        mixed = []
        for head in range(heads):
            part = slice(head * 4, head * 4 + 4)
            scores = torch.stack([
                query[here, part] @ key[past, part] / math.sqrt(4)
                + module.bias.time[head, attention.time_bucket(ages[past] - ages[here])]
                + module.bias.distance[head, here - past]
                for past in range(here + 1)
            ])  # fmt: skip
            mixed.append(scores.softmax(0) @ value[: here + 1, part])
        rows.append(torch.cat(mixed))
    oracle = module.output(torch.stack(rows))
    torch.testing.assert_close(module(states, times, distances)[0], oracle)


def test_bias_gradients_equal_those_of_plain_indexing() -> None:
    torch.manual_seed(0)
    index = torch.randint(0, 6, (2, 4, 4))
    table = torch.randn(3, 6, requires_grad=True)
    upstream = torch.randn(3, 2, 4, 4)
    (attention._Lookup.apply(table, index) * upstream).sum().backward()
    assert table.grad is not None
    found, table.grad = table.grad.clone(), None
    (table[:, index] * upstream).sum().backward()
    torch.testing.assert_close(found, table.grad)

"""Popularity and freshness in a score: by hand, and what must not happen."""

import math

import pytest
import torch

from recsys.models.trend_terms import SCALE, TrendSettings, TrendTerms

NAN = float("nan")


def test_golden() -> None:
    # popularity 2 and 1: log 2, log 1; ages 3 days of 3: 1/e; unknown: 0.
    # Weights within a session 1 and 0; ahead 2 and -1.
    terms = TrendTerms(TrendSettings(half_lives_days=(7.0,), freshness_days=(3.0,)))
    assert terms.names == ("popularity_7d", "freshness_3d")
    terms.small.data = torch.tensor([[1.0, 0.0], [2.0, -1.0]]) / SCALE
    popularity, ages = torch.tensor([[[2.0], [1.0]]]), torch.tensor([[3.0, NAN]])
    found = terms(popularity, ages)
    within = [math.log(2), 0.0]
    ahead = [2 * math.log(2) - 1 / math.e, 0.0]
    torch.testing.assert_close(found, torch.tensor([[within], [ahead]]))


def test_what_is_not_there_yet_is_left_out_and_what_just_came_is_freshest() -> None:
    terms = TrendTerms(TrendSettings(half_lives_days=(), freshness_days=(2.0,)))
    terms.small.data.fill_(0.3)
    found = terms(torch.zeros(3, 0), torch.tensor([-0.5, 0.0, NAN]))
    assert found[:, 0].tolist() == [-math.inf, -math.inf]
    torch.testing.assert_close(found[:, 1:], torch.tensor([[3.0, 0.0], [3.0, 0.0]]))


@pytest.mark.parametrize("lives", [(), (1.0, 30.0)])
def test_untrained_terms_say_nothing(lives: tuple[float, ...]) -> None:
    terms = TrendTerms(TrendSettings(half_lives_days=lives, freshness_days=()))
    found = terms(0.1 + torch.rand(4, 5, len(lives)), torch.rand(4, 5))
    assert found.shape == (2, 4, 5)
    assert not found.any()

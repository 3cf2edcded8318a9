"""Each variant changes one thing; what the shop does not know is not tried."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recsys.serving import trade_off
from recsys.serving.categories import categorised
from recsys.serving.diversity import DiversitySettings
from recsys.serving.recommend import ListSettings, Recommender

Made = Callable[..., Recommender]


def named(recommender: Recommender) -> dict[str, trade_off.Variant]:
    found = trade_off.variants(recommender)
    assert len({variant.name for variant in found}) == len(found)
    return {variant.name: variant for variant in found}


def test_golden_names(made: Made) -> None:
    assert list(named(made(weights=(1.0, 0.5, 2.0)))) == [
        "as set",
        "mmr 0.1", "mmr 0.2", "mmr 0.3", "mmr 0.5", "mmr 0.7",
        "category_cap 5", "category_cap 3", "category_cap 2", "category_cap 1",
        "calibration 0.1", "calibration 0.3", "calibration 0.5", "calibration 0.8",
        "price_band 0.25", "price_band 0.5", "price_band 1", "price_band 2",
        "without popularity", "popularity x0.5", "popularity x2", "popularity x4",
        "similarity alone",
    ]  # fmt: skip


def test_a_rule_changes_itself_only(made: Made) -> None:
    rules = DiversitySettings(mmr=0.3, category_cap=4)
    recommender = made(weights=(1.0, 0.5, 2.0), settings=ListSettings(diversity=rules))
    found = named(recommender)
    assert "mmr 0.3" not in found
    for name, expected in (
        ("without mmr", rules.model_copy(update={"mmr": 0.0})),
        ("without category_cap", rules.model_copy(update={"category_cap": 0})),
        ("mmr 0.7", rules.model_copy(update={"mmr": 0.7})),
        ("price_band 2", rules.model_copy(update={"price_band": 2.0})),
        ("popularity x2", rules),
        ("similarity alone", rules),
    ):
        changed = found[name].recommender
        assert changed.settings.diversity == expected
        assert changed.settings.index == recommender.settings.index
        assert changed.index is recommender.index
    assert found["as set"].recommender is recommender


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mmr 0.5", (1.5, 0.5, 2.0)),
        ("without popularity", (1.5, 0.0, 2.0)),
        ("popularity x4", (1.5, 2.0, 2.0)),
        ("similarity alone", (1.5, 0.0, 0.0)),
    ],
)
def test_golden_weights(made: Made, name: str, weights: tuple[float, ...]) -> None:
    found = named(made(weights=(1.5, 0.5, 2.0)))
    assert found[name].recommender.reranker.weights == weights


def test_what_the_shop_does_not_know_is_not_tried(made: Made) -> None:
    shop = made().shop
    assert trade_off.rules(shop) == ("mmr", "category_cap", "calibration", "price_band")
    for prices in (None, np.full(10, np.nan), np.zeros(10)):
        assert "price_band" not in trade_off.rules(replace(shop, prices=prices))
    for known in (None, categorised([[]] * 10)):
        assert trade_off.rules(replace(shop, categories=known)) == ("mmr", "price_band")


def test_popularity_that_weighs_nothing_is_not_tried(made: Made) -> None:
    found = named(made(weights=(1.0, 0.0, 2.0)))
    assert not [name for name in found if "popularity" in name]

"""What drew a row: the same numbers as scoring anew without the event or the modality."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from recsys.data.histories import Histories
from recsys.models.item_features import ItemFeatures
from recsys.serving import reasons, vectors
from recsys.serving.recommend import Recommender

NOW = 1_000 * 86_400
Made = Callable[..., Recommender]


def history(items: list[int]) -> Histories:
    count = len(items)
    return Histories(
        ("u",), np.array([0, count]), np.array(items, np.int64), np.ones(count, np.int64),
        NOW - 3600 * np.arange(count, 0, -1), np.ones(count, np.float32),
    )  # fmt: skip


def text_features(without: int = -1) -> ItemFeatures:
    """The features that the recommender of the fixture `made` was built from."""
    random = torch.Generator().manual_seed(0)
    present = torch.ones(10, 2, dtype=torch.bool)
    if without >= 0:
        present[:, without] = False
    return ItemFeatures(("text",), {"text": torch.randn(10, 6, generator=random)}, present)


@pytest.fixture
def recommender(made: Made) -> Recommender:
    return made(weights=(1.5, 0.2, 0.1))


def drawn(
    recommender: Recommender, features: ItemFeatures, past: Histories, rows: np.ndarray
) -> reasons.Drawn:
    return reasons.drawn(recommender, features, reasons.left_out(recommender, past), rows)


def similarity(recommender: Recommender, items: list[int], row: int) -> float:
    """The similarity term of one row for a history: w * user . item / temperature."""
    user = vectors.of_users(
        recommender.model, recommender.item_vectors, history(items), recommender.at_seconds
    )[0]
    return float(1.5 / recommender.model.temperature.item() * user @ recommender.item_vectors[row])


def test_an_item_of_the_history_counts_what_the_score_loses_without_it(
    recommender: Recommender,
) -> None:
    mine = history([3, 4, 3, 5])
    found = drawn(recommender, text_features(), mine, np.array([0, 8]))
    assert found.items.tolist() == [5, 3, 4]  # each once, the latest first
    whole = similarity(recommender, [3, 4, 3, 5], 8)
    # without item 3 the events on 4 and 5 stay, at the times that they had
    left = Histories(
        ("u",), np.array([0, 2]), mine.items[[1, 3]], mine.events[[1, 3]], mine.times[[1, 3]],
        mine.weights[[1, 3]],
    )  # fmt: skip
    user = vectors.of_users(recommender.model, recommender.item_vectors, left, NOW)[0]
    scale = 1.5 / recommender.model.temperature.item()
    without = scale * user @ recommender.item_vectors[8]
    assert found.by_item[1, 1] == pytest.approx(whole - without, abs=1e-4)


def test_a_history_of_one_item_loses_all(recommender: Recommender) -> None:
    found = drawn(recommender, text_features(), history([2]), np.array([7]))
    assert found.by_item[0, 0] == pytest.approx(similarity(recommender, [2], 7), abs=1e-4)


def test_a_modality_counts_what_the_score_loses_without_it(recommender: Recommender) -> None:
    found = drawn(recommender, text_features(), history([1, 2]), np.array([6]))
    assert found.modalities == ("text", "id")
    user = vectors.of_users(recommender.model, recommender.item_vectors, history([1, 2]), NOW)[0]
    scale = 1.5 / recommender.model.temperature.item()
    for number in (0, 1):
        left = vectors.of_items(recommender.model, text_features(without=number))[6]
        expected = scale * user @ (recommender.item_vectors[6] - left)
        assert found.by_modality[0, number] == pytest.approx(expected, abs=1e-4)


def test_what_an_item_lacks_draws_nothing(recommender: Recommender) -> None:
    features = text_features(without=1)
    found = drawn(recommender, features, history([1]), np.array([6]))
    assert np.isnan(found.by_modality).all()  # no id, and nothing would be left without the text

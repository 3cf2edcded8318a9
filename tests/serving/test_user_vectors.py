"""What reaches the towers when lists are made; blocks and moments are tested with the lists."""

from dataclasses import replace

import numpy as np
import torch

from recsys.data.histories import Histories
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings
from recsys.models.user_tower import UserTowerSettings
from recsys.serving import vectors


def test_weights_of_events_reach_a_tower_that_reads_them() -> None:
    features = ItemFeatures((), {}, torch.ones(4, 1, dtype=torch.bool))
    users = UserTowerSettings(max_length=3, event_weights=True)
    model = two_tower.build(ModelSettings(width=8, users=users), features, ("view",), 0).eval()
    items = vectors.of_items(model, features)
    ones = np.ones(5, np.int64)
    log = Histories(
        user_ids=("a", "b"),
        offsets=np.array([0, 4, 5]),
        items=np.array([0, 1, 2, 3, 1]),
        events=ones,
        times=np.arange(5) * 100,
        weights=np.array([1, 2, 3, 4, 5], np.float32),
    )
    found = vectors.of_users(model, items, log, 1000)
    expected = model.users(
        torch.from_numpy(items[[1, 2, 3]])[None],
        torch.ones(1, 3, dtype=torch.long),
        torch.tensor([[900, 800, 700]]),
        torch.ones(1, 3, dtype=torch.bool),
        torch.tensor([[2.0, 3.0, 4.0]]),
    )
    np.testing.assert_allclose(found[0], expected[0, -1].detach().numpy(), atol=1e-6)
    other = replace(log, weights=np.array([1, 2, 3, 4, 1], np.float32))
    again = vectors.of_users(model, items, other, 1000)
    np.testing.assert_allclose(again[0], found[0], atol=1e-6)
    assert not np.allclose(again[1], found[1])

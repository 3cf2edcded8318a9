"""How far items lean on content follows what the users of the window did."""

import numpy as np
import torch

from recsys.data.histories import Histories
from recsys.evaluation.lists import row_sets
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings, TwoTower
from recsys.models.user_tower import UserTowerSettings
from recsys.serving import handover
from recsys.serving.moment import Shop

ITEMS, GROUPS, USERS, NOW = 60, 4, 80, 1_000 * 86_400


def planted(content_tells: bool) -> tuple[TwoTower, ItemFeatures]:
    """Items of four groups; content says which, or else the ids do; the other is noise."""
    random = torch.Generator().manual_seed(1)
    groups = torch.eye(GROUPS)[torch.arange(ITEMS) % GROUPS] * 3
    noise = torch.randn(ITEMS, GROUPS, generator=random)
    values = groups if content_tells else noise
    features = ItemFeatures(("text",), {"text": values}, torch.ones(ITEMS, 2, dtype=torch.bool))
    settings = ModelSettings(width=16, users=UserTowerSettings(kind="mean"))
    model = two_tower.build(settings, features, ("view",), 0).eval()
    told = torch.randn(GROUPS, 16, generator=random)[torch.arange(ITEMS) % GROUPS]
    ids = torch.randn(ITEMS, 16, generator=random) if content_tells else told
    model.item_tower.id_embedding.table.weight.data.copy_(ids)
    model.learned_from(features, torch.full((ITEMS,), 10.0))
    return model, features


def fitted(model: TwoTower, features: ItemFeatures) -> float:
    """Users who had three items of a group and then two more of it."""
    random = np.random.default_rng(0)
    chosen = np.stack(
        [
            random.permutation(np.arange(ITEMS)[np.arange(ITEMS) % GROUPS == user % GROUPS])[:5]
            for user in range(USERS)
        ]
    )
    rows = chosen[:, :3].reshape(-1)
    ones = np.ones(len(rows))
    users = tuple(f"u{user:03}" for user in range(USERS))
    known = Histories(
        users, np.arange(0, 3 * USERS + 1, 3), rows, ones.astype(np.int64),
        np.full(len(rows), NOW - 86_400), ones.astype(np.float32),
    )  # fmt: skip
    wanted = row_sets(np.arange(0, 2 * USERS + 1, 2), chosen[:, 3:].reshape(-1))
    shop = Shop(np.ones(ITEMS, np.bool_), rows, known.times, np.full(ITEMS, np.nan), "checksum")
    handover.fit(model, features, shop, known, wanted, NOW, None)
    return float(model.handover)


def test_who_tells_is_believed() -> None:
    assert fitted(*planted(content_tells=True)) >= 30  # ids of ten events: a quarter, or less
    assert fitted(*planted(content_tells=False)) == 0


def test_without_content_there_is_nothing_to_lean_on() -> None:
    model, features = planted(content_tells=True)
    features.present[:, 0] = False
    assert fitted(model, features) == 0


def test_the_smallest_that_is_not_clearly_worse() -> None:
    # 400 users: a lack of +-0.1 around its mean has a standard error of 0.005
    swing = np.tile([0.1, -0.1], 200)
    told = np.stack([swing - 0.006, swing - 0.004, 0 * swing, swing - 0.4])
    assert handover._simplest(told) == 1
    assert handover._simplest(told[[0, 2, 3]]) == 1
    assert handover._simplest(told[[2, 1]]) == 0

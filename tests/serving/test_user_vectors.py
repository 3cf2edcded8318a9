"""What reaches the towers when lists are made; blocks and moments are tested with the lists."""

from dataclasses import replace

import numpy as np
import polars as pl
import torch

from recsys.data import histories
from recsys.data.histories import Histories
from recsys.data.people import People
from recsys.models import two_tower
from recsys.models.item_features import ItemFeatures
from recsys.models.two_tower import ModelSettings
from recsys.models.user_tower import UserTowerSettings
from recsys.serving import reasons, recommend, vectors
from recsys.serving.moment import Shop
from recsys.serving.recommend import ListSettings
from recsys.user_columns import UserColumn
from recsys.vocabulary import Vocabulary


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
    # where products are of bfloat16 (AMX), they differ by a few thousandths
    np.testing.assert_allclose(found[0], expected[0, -1].detach().numpy(), atol=2e-3)
    other = replace(log, weights=np.array([1, 2, 3, 4, 1], np.float32))
    again = vectors.of_users(model, items, other, 1000)
    np.testing.assert_allclose(again[0], found[0], atol=1e-6)
    assert np.abs(again[1] - found[1]).max() > 0.01


def test_what_is_known_of_users_moves_their_vectors_and_lists() -> None:
    features = ItemFeatures((), {}, torch.ones(4, 1, dtype=torch.bool))
    columns = (UserColumn(name="city", values=("Paris", "Lyon")),)
    model = two_tower.build(ModelSettings(width=8), features, ("view",), 0, columns).eval()
    torch.nn.init.normal_(model.user_tower.attributes.table, std=3.0)
    ones, names = np.ones(4, np.int64), ("a", "b", "c", "d")
    log = Histories(names, np.arange(5), ones, ones, ones * 900, ones.astype(np.float32))
    users = pl.DataFrame({"user_id": ["d", "a", "b"], "city": ["Paris", "Lyon", "Paris"]})
    everything = np.ones(4, bool)
    shop = Shop(everything, ones, log.times, np.full(4, np.nan), "checksum", users=users)
    made = recommend.prepare(model, features, shop, 1000, ListSettings())
    scores = made.candidates(log).similarities
    lyon, paris, unknown, also_paris = scores
    np.testing.assert_array_equal(paris, also_paris)
    assert not np.allclose(lyon, paris)
    assert not np.allclose(unknown, paris)
    plain = recommend.prepare(model, features, replace(shop, users=None), 1000, ListSettings())
    np.testing.assert_array_equal(plain.candidates(log).similarities[0], unknown)
    without = reasons.left_out(made, histories.select(log, ("a",)))
    people = People(Vocabulary(names), np.array([[1], [0], [-1], [0]]))
    told = vectors.of_users(model, made.item_vectors, log, 1000, people)
    np.testing.assert_allclose(without.users[0], told[0], atol=1e-6)

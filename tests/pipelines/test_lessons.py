"""The users that validation asks: in blocks, and a sample of them."""

import numpy as np
import pytest

from pipelines import lessons
from pipelines.lessons import Question
from recsys.data.histories import Histories
from recsys.evaluation.lists import RowSets, row_sets


def asked(users: int) -> Question:
    """User u has had item u and does u % 3 items."""
    sizes = np.arange(users) % 3
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    every = np.arange(users)
    known = Histories(
        tuple(f"u{user}" for user in every), np.arange(users + 1), every, every, every,
        np.ones(users, np.float32),
    )  # fmt: skip
    relevant = row_sets(offsets, np.arange(offsets[-1]))
    nobody = RowSets(np.zeros(1, np.int64), np.zeros(0, np.int64))
    return Question(known, relevant, nobody, (), 7, every * 10)


def test_blocks_hold_every_user_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "BLOCK", 4)
    whole = asked(10)
    parts = whole.blocks()
    assert [len(part.known) for part in parts] == [4, 4, 2]
    assert sum((part.known.user_ids for part in parts), ()) == whole.known.user_ids
    rows = np.concatenate([part.relevant.rows for part in parts])
    assert rows.tolist() == whole.relevant.rows.tolist()
    assert np.concatenate(
        [part.moments for part in parts if part.moments is not None]
    ).tolist() == [user * 10 for user in range(10)]


def test_a_sample_keeps_what_belongs_to_its_users() -> None:
    whole = asked(30)
    some = whole.sample(11)
    assert whole.sample(30) is whole
    assert len(some.known) == len(some.relevant) == 11
    users = [int(name[1:]) for name in some.known.user_ids]
    assert users == sorted(set(users))
    assert some.known.items.tolist() == users
    assert some.moments is not None
    assert some.moments.tolist() == [user * 10 for user in users]
    for place, user in enumerate(users):
        part, full = some.relevant.block(place, place + 1), whole.relevant.block(user, user + 1)
        assert part.rows.tolist() == full.rows.tolist()
    assert whole.sample(11).known.user_ids == some.known.user_ids

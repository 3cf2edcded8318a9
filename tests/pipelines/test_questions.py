"""The users that validation asks: in blocks, and a sample of them."""

import numpy as np
import pytest

from pipelines import questions
from pipelines.questions import Question
from recsys.data.histories import Histories
from recsys.data.splits import Split
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
    monkeypatch.setattr(questions, "BLOCK", 4)
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


def cut(visits: dict[str, list[int]], kind: str = "global_time") -> Split:
    """A split of events at the given days, validation from day 10, test from day 20.

    Items are numbered as the events.
    """
    days = np.array([day for times in visits.values() for day in times], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(times) for times in visits.values()])])
    number = np.arange(len(days))
    events = Histories(
        tuple(visits), offsets, number, number * 0, days, np.ones(len(days), np.float32)
    )
    parts = (days >= 10).astype(np.int8) + (days >= 20)
    return Split(events, parts, kind, 10, 20, 30)


def test_where_nobody_returns_validation_asks_for_the_last_event_of_a_visit() -> None:
    visits = {"a": [1, 2], "b": [11, 12, 13], "c": [14], "d": [15, 16], "e": [18, 25]}
    found = questions.examined(cut(visits))
    assert found.known.user_ids == ("b", "d")
    assert found.known.items.tolist() == [2, 3, 6]  # of b and d, without their last
    assert found.relevant.rows.tolist() == [4, 7]
    assert found.moments is not None
    assert found.moments.tolist() == [13, 16]
    assert found.at_seconds == 10


@pytest.mark.parametrize(("returning", "visits"), [(9, 12), (10, 1), (3, 2)])
def test_who_returns_is_asked_while_there_are_enough(returning: int, visits: int) -> None:
    users = {f"r{number}": [1, 2, 11, 12] for number in range(returning)}
    users |= {f"v{number}": [13, 14] for number in range(visits)}
    found = questions.examined(cut(users))
    by_visits = returning < questions.FEWEST_RETURNING and visits > returning
    assert {name[0] for name in found.known.user_ids} == ({"v"} if by_visits else {"r"})
    assert (found.moments is not None) == by_visits


def test_leave_one_out_asks_as_it_does() -> None:
    split = cut({"a": [1, 2, 11], "b": [11, 12]}, "leave_one_out")
    assert questions.examined(split).known.user_ids == ("a",)

"""Windows, packing and batches: by hand, against a loop over users, and what must always hold."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import pieces, popularity, trends
from recsys.data.trends import DAY_SECONDS
from recsys.training import windows
from recsys.training.batch import Batch
from recsys.training.batches import Batches, BatchSettings

N = 30


@dataclass(frozen=True)
class Log:
    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def log(lengths: list[int], seed: int = 0) -> Log:
    random = np.random.default_rng(seed)
    total = sum(lengths)
    return Log(
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
        items=random.integers(0, N, total),
        events=random.integers(1, 4, total),
        times=1_000_000 + np.cumsum(random.integers(0, 100, total)),
        weights=random.random(total).astype(np.float32) + 0.5,
    )


def made(history: Log, seed: int = 0, length: int = 4, **changes: object) -> Batches:
    chosen = BatchSettings(**{"batch_events": 16, "negatives": 5, **changes})  # type: ignore[arg-type]
    return Batches(history, N, length, chosen, seed)


def test_golden_windows() -> None:
    # User 0 has 6 events (rows 0 to 5), user 1 one, user 2 two (rows 7, 8); at most 3 inputs.
    # User 0, from the end: inputs 2 3 4 with targets 3 4 5, then inputs 0 1 with targets 1 2.
    offsets = np.array([0, 6, 7, 9])
    users, starts, lengths = windows.windows(offsets, 3, "all")
    assert users.tolist() == [0, 0, 2]
    assert starts.tolist() == [2, 0, 7]
    assert lengths.tolist() == [3, 2, 1]
    users, starts, lengths = windows.windows(offsets, 3, "last")
    assert (users.tolist(), starts.tolist(), lengths.tolist()) == ([0, 2], [2, 7], [3, 1])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(1, 7))
def test_every_event_but_a_users_first_is_a_target_once(lengths: list[int], longest: int) -> None:
    offsets = np.cumsum([0, *lengths])
    users, starts, sizes = windows.windows(offsets, longest, "all")
    targets = [start + 1 + step for start, size in zip(starts, sizes, strict=True)
               for step in range(size)]  # fmt: skip
    expected = [event for user, size in enumerate(lengths)
                for event in range(offsets[user] + 1, offsets[user] + size)]  # fmt: skip
    assert sorted(targets) == expected
    assert all(0 < size <= longest for size in sizes)
    assert (offsets[users] <= starts).all()
    assert (starts + sizes < offsets[users + 1]).all()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 100))
def test_packing_keeps_every_window_and_the_budget(lengths: list[int], budget: int) -> None:
    sizes = np.array(sorted(lengths, reverse=True))
    plan = windows.packed(np.arange(len(sizes)), sizes, budget)
    assert np.concatenate(plan).tolist() == list(range(len(sizes)))
    assert all(len(batch) == 1 or len(batch) * sizes[batch[0]] <= budget for batch in plan)


def test_a_batch_equals_a_loop_over_its_users() -> None:
    history = log([9, 3, 1, 2, 7, 5])
    for batch in made(history, objective="next", repeats=True, event_weights=True).epoch(0):
        rows = batch.item_rows
        assert batch.places.tolist() == batch.mask.flatten().nonzero().flatten().tolist()
        wanted = torch.zeros(batch.mask.shape, dtype=torch.int64)
        weights = torch.zeros(batch.mask.shape)
        wanted.view(-1)[batch.places] = rows[batch.targets]
        weights.view(-1)[batch.places] = batch.weights
        for place, user in enumerate(batch.users.tolist()):
            first, last = history.offsets[user], history.offsets[user + 1]
            size = int(batch.mask[place].sum())
            read = rows[batch.items[place, :size]].numpy()
            # the window within this user's history, found by its items and events
            starts = [
                start for start in range(first, last - size)
                if np.array_equal(history.items[start : start + size], read)
                and np.array_equal(history.events[start : start + size], batch.events[place, :size])
                and history.items[start + 1 : start + size + 1].tolist()
                == wanted[place, :size].tolist()
            ]  # fmt: skip
            assert starts, user
            start = starts[0]
            end = history.times[start + size]
            assert batch.ages[place, :size].tolist() == list(
                end - history.times[start : start + size]
            )
            assert batch.event_weights[place, :size].tolist() == pytest.approx(
                history.weights[start : start + size].tolist()
            )
            np.testing.assert_allclose(
                weights[place, :size], history.weights[start + 1 : start + size + 1]
            )
            assert not batch.mask[place, size:].any()


@settings(max_examples=20)
@given(st.integers(0, 100), st.sampled_from(["in_batch", "mixed", "full"]))
def test_an_epoch_has_every_target_once_and_each_candidate_once(seed: int, kind: str) -> None:
    history = log([9, 3, 1, 2, 7, 5], seed)
    known = set(history.items.tolist())
    targets: list[int] = []
    for batch in made(history, seed, candidates=kind, repeats=True).epoch(1):
        rows = batch.item_rows.tolist()
        assert rows == sorted(set(rows))
        assert set(rows) <= known
        targets += batch.item_rows[batch.targets].tolist()
        inside = set(batch.items[batch.mask].tolist()) | set(batch.targets.tolist())
        match kind:
            case "in_batch":
                assert len(inside) == len(rows)
            case "mixed":
                assert len(rows) <= len(inside) + 5
            case "full":
                assert set(rows) == known
                assert batch.log_q is None
    first = set(history.offsets[:-1].tolist())
    expected = [item for place, item in enumerate(history.items.tolist()) if place not in first]
    assert sorted(targets) == sorted(expected)


def test_the_same_seed_repeats_another_epoch_differs_and_any_start_agrees() -> None:
    history = log([9, 3, 5, 2, 7, 5] * 4)

    def rows(seed: int, epoch: int, start: int = 0) -> list[tuple[list[int], list[int]]]:
        found = made(history, seed).epoch(epoch, start)
        return [(batch.users.tolist(), batch.item_rows.tolist()) for batch in found]

    assert rows(1, 2) == rows(1, 2)
    assert rows(1, 2) != rows(1, 3)
    assert rows(1, 2) != rows(2, 2)
    for start in (0, 1, 5, len(rows(1, 2))):
        assert rows(1, 2, start) == rows(1, 2)[start:]


def test_batches_hold_windows_of_about_equal_length() -> None:
    history = log([2, 5] * 40)
    padded = sum(int((~batch.mask).sum()) for batch in made(history).epoch(0))
    assert padded <= 16


def test_golden_inclusion() -> None:
    # 8 events of 2 users, one batch: 8 draws. Item 0 has 6 of 8 events, item 1 two. Of the 2 known
    # items one is drawn as a negative: pi = 1 - (1 - in batch) * (1 - 1 / 2).
    history = Log(
        offsets=np.array([0, 4, 8]), items=np.array([0, 0, 1, 0, 0, 1, 0, 0]),
        events=np.ones(8, np.int64), times=np.arange(8), weights=np.ones(8, np.float32),
    )  # fmt: skip
    (batch,) = made(history, negatives=1).epoch(0)
    assert batch.log_q is not None
    inside = np.array([1 - 0.25**8, 1 - 0.75**8])
    np.testing.assert_allclose(batch.log_q, np.log(1 - (1 - inside) / 2), rtol=1e-5)
    (batch,) = made(history, candidates="in_batch").epoch(0)
    assert batch.log_q is not None
    np.testing.assert_allclose(batch.log_q, np.log(inside), rtol=1e-5)


def test_weights_can_be_ignored_and_there_may_be_nothing_to_learn() -> None:
    (batch,) = made(log([3]), event_weights=False).epoch(0)
    assert batch.weights.tolist() == [1, 1]
    assert made(log([1, 1, 0])).count(0) == 0


def test_leaving_an_epoch_early_ends_its_thread() -> None:
    running = made(log([9] * 50)).epoch(0)
    next(running)
    running.close()
    with pytest.raises(StopIteration):
        next(running)


def test_without_repeats_the_target_is_the_next_new_item() -> None:
    # one user:   item 4 viewed, put into the cart, bought; then 7; then 4 again; then 2
    # positions        0              1            2         3          4            5
    # next new item after 0, 1 and 2 is 7 (at 3); after 3 and 4 it is 2 (at 5)
    history = log([6])
    history.items[:] = [4, 4, 4, 7, 4, 2]
    history.weights[:] = [1, 3, 5, 1, 1, 2]
    assert np.flatnonzero(windows.novel(history, 10)).tolist() == [0, 3, 5]
    assert windows.strengths(history, 10).tolist() == [5, 5, 5, 1, 5, 2]
    (batch,) = made(history, length=5).epoch(0)
    assert batch.item_rows[batch.targets].tolist() == [7, 7, 7, 2, 2]
    assert batch.places.tolist() == [0, 1, 2, 3, 4]


def test_windows_without_a_new_item_are_left_out() -> None:
    history = log([4, 3])
    history.items[:] = [5, 5, 5, 5, 1, 2, 2]  # the first user only ever repeats
    (batch,) = made(history).epoch(0)
    assert batch.users.tolist() == [1]
    # user 1: after item 1 comes 2; after 2 nothing new comes
    assert batch.places.tolist() == [0]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 50))
def test_new_items_and_windows_equal_a_loop(lengths: list[int], seed: int) -> None:
    history = log(lengths, seed)
    before = pytest.MonkeyPatch()
    for together in (1, 5, 1000):
        before.setattr(pieces, "EVENTS", together)
        found, strongest = windows.novel(history, N), windows.strengths(history, N)
        fresh, weights = [], []
        for user in range(len(lengths)):
            own = range(history.offsets[user], history.offsets[user + 1])
            fresh += [e for e in own if history.items[e] not in history.items[own.start : e]]
            alike = [[o for o in own if history.items[o] == history.items[e]] for e in own]
            weights += [max(history.weights[o] for o in others) for others in alike]
        assert np.flatnonzero(found).tolist() == fresh
        assert strongest.tolist() == weights
        _, starts, sizes = windows.windows(history.offsets, 3, "all")
        events = [range(start, start + size + 1) for start, size in zip(starts, sizes, strict=True)]
        held = windows.hold_a_target(starts, sizes, found)
        assert held.tolist() == [any(found[e] for e in window[1:]) for window in events]
        inside = windows.in_windows(starts, sizes, len(history.items))
        assert inside.tolist() == [sum(e in w for w in events) for e in range(sum(lengths))]
        counted = popularity.counts(history.items, N, inside)
        assert counted.tolist() == np.bincount(history.items[inside > 0], minlength=N).tolist()
    before.undo()


def shopping() -> Log:
    """One user on days 5, 5, 5, 7, 7, 9: items 3 8 3, 1 8, 2; another on day 7: items 4 5."""
    history = log([6, 2])
    history.items[:] = [3, 8, 3, 1, 8, 2, 4, 5]
    history.times[:] = np.array([5, 5, 5, 7, 7, 9, 7, 7]) * DAY_SECONDS + np.arange(8)
    return history


def test_golden_day_before() -> None:
    # the two events of day 7 follow event 2, that of day 9 event 4; nothing precedes day 5
    history = shopping()
    days = (history.times // DAY_SECONDS)[:6]
    before = windows.day_before(days[None, :-1], days[None, 1:])
    assert before.tolist() == [[-1, -1, 2, 2, 4]]


def pairs(batch: Batch) -> set[tuple[int, int, int, int]]:
    """User, state, item to foresee, and whether it is ahead."""
    length = batch.mask.shape[1]
    users = batch.users[batch.places // length]
    columns = (users, batch.places % length, batch.item_rows[batch.targets], batch.ahead)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_golden_night_objective() -> None:
    # day 5: item 3 foresees 8; item 8 and the second 3 are asked what is new next: item 1, on
    # another day, so that only the day's last state (2) foresees it; item 8 of day 7 is not new.
    # Day 7: state 3 would foresee 2, of day 9; the day's last state (4) does.
    (batch,) = made(shopping(), length=6, objective="night").epoch(0)
    assert pairs(batch) == {(0, 0, 8, 0), (0, 2, 1, 1), (0, 4, 2, 1), (1, 0, 5, 0)}
    # with repeats every event of the next day is foreseen
    (batch,) = made(shopping(), length=6, objective="night", repeats=True).epoch(0)
    assert pairs(batch) == {
        (0, 0, 8, 0), (0, 1, 3, 0), (0, 2, 1, 1), (0, 2, 8, 1), (0, 3, 8, 0), (0, 4, 2, 1),
        (1, 0, 5, 0),
    }  # fmt: skip


def test_session_weight() -> None:
    (batch,) = made(shopping(), length=6, session_weight=0.25).epoch(0)
    assert batch.weights.tolist() == [1.0 if ahead else 0.25 for ahead in batch.ahead]
    (batch,) = made(shopping(), length=6, session_weight=0.25, objective="next").epoch(0)
    assert set(batch.weights.tolist()) == {1.0}
    # nothing within a session counts: the second user has nothing to say
    (batch,) = made(shopping(), length=6, session_weight=0).epoch(0)
    assert batch.users.tolist() == [0]


@settings(max_examples=30)
@given(st.integers(0, 500), st.booleans())
def test_night_pairs_equal_a_loop(seed: int, repeats: bool) -> None:
    history = log([7, 1, 4, 9], seed)
    random = np.random.default_rng(seed)
    for user in range(4):
        own = slice(history.offsets[user], history.offsets[user + 1])
        days = np.sort(random.integers(0, 5, own.stop - own.start))
        history.times[own] = days * DAY_SECONDS + np.arange(len(days))
    expected = set()
    for user in range(4):
        events = range(history.offsets[user], history.offsets[user + 1])
        day = {event: history.times[event] // DAY_SECONDS for event in events}
        fresh = [
            event for event in events
            if repeats or history.items[event] not in history.items[events.start : event]
        ]  # fmt: skip
        for event in fresh:
            earlier = [other for other in events if day[other] < day[event]]
            if earlier:
                expected.add((user, earlier[-1] - events.start, int(history.items[event]), 1))
        for event in events:
            later = [other for other in fresh if other > event]
            if later and day[later[0]] == day[event]:
                expected.add((user, event - events.start, int(history.items[later[0]]), 0))
    found = [pairs(batch) for batch in made(history, length=9, repeats=repeats).epoch(0)]
    assert set.union(*found) == expected


def test_only_targets_since_a_moment_count() -> None:
    # from day 7 on: items 1 (day 7) and 2 (day 9), and the second user's 5
    (batch,) = Batches(
        shopping(), N, 6, BatchSettings(batch_events=16, negatives=5), 0, None, 7 * DAY_SECONDS
    ).epoch(0)
    assert pairs(batch) == {(0, 2, 1, 1), (0, 4, 2, 1), (1, 0, 5, 0)}
    late = Batches(shopping(), N, 6, BatchSettings(batch_events=16), 0, None, 8 * DAY_SECONDS)
    (batch,) = late.epoch(0)
    assert batch.users.tolist() == [0]
    assert pairs(batch) == {(0, 4, 2, 1)}


def test_trends_are_those_of_the_target_s_day() -> None:
    history = shopping()
    known = trends.build(history.items, history.times, np.full(N, np.nan), (1.0, 7.0), 0.5)
    settings = BatchSettings(batch_events=16, negatives=5)
    (batch,) = Batches(history, N, 6, settings, 0, known).epoch(0)
    assert batch.moments is not None
    assert batch.popularity is not None
    assert batch.item_ages is not None
    rows = batch.item_rows.numpy()
    length = batch.mask.shape[1]
    for pair in range(len(batch.places)):
        user = int(batch.users[batch.places[pair] // length])
        item = int(rows[batch.targets[pair]])
        own = slice(history.offsets[user], history.offsets[user + 1])
        event = own.start + history.items[own].tolist().index(item)
        popularity, _ = known.at(history.times[event : event + 1] // DAY_SECONDS, rows)
        np.testing.assert_array_equal(batch.popularity[batch.moments[pair]], popularity[0])
    assert torch.isnan(batch.item_ages).all()

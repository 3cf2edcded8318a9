"""The sample shop: a log that follows the planted tastes, in a folder as a user's own data."""

import csv
import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recsys.data import interactions, product_texts, synthetic
from recsys.data.sample_shop import write_shop
from recsys.data.settings import DataSettings
from recsys.data.synthetic import DAY_SECONDS, END, ShopSettings, Truth
from recsys.errors import InputFault

TINY = ShopSettings(
    items=60, users=80, days=14, events=1500, broken=0.01, photo_side=32, clip_side=32
)


def content(folder: Path) -> dict[str, str]:
    """Hash of every file by its path inside `folder`."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops") / "shop"
    write_shop(TINY, folder)
    return folder


def test_a_shop_may_say_what_is_to_be_seen_and_is_otherwise_the_same(
    shop: Path, tmp_path: Path
) -> None:
    truth = write_shop(TINY.model_copy(update={"described": 0.5}), tmp_path / "shop")
    silent, said = (
        [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
        for folder in (shop, tmp_path / "shop")
    )
    told = [row for row, item in enumerate(said) if item != silent[row]]
    assert 20 < len(told) < 40
    for row in told:
        sentence = said[row]["description"].removeprefix(silent[row]["description"] + " ")
        assert said[row] | {"description": ""} == silent[row] | {"description": ""}
        wanted = product_texts.look(truth.hue[row], truth.pattern[row], truth.motion[row])
        assert sentence == wanted
    assert product_texts.look(4, 1, 5) == "It is blue and striped; see it blinking."
    media = {name: hashed for name, hashed in content(shop).items() if name != "items.jsonl"}
    assert media.items() <= content(tmp_path / "shop").items()


def two_items() -> Truth:
    """One user who likes theme 0 (3.0) and, from day 2 on, theme 1 instead; items of each."""
    zeros = np.zeros(2, np.int64)
    none = {name: np.zeros((1, 2)) for name in ("hue", "pattern", "motion")}
    return Truth(
        ShopSettings(days=10, burst=1.0, novelty=2.0, novelty_days=4.0),
        np.array([0, 1]), zeros, zeros, zeros, zeros, np.array([-1.0, 1.0]), np.array([0.5, 0.0]),
        np.array([5.0, 100.0]), {"theme": np.array([[3.0, 0.0]]), **none},
        {"theme": np.array([[0.0, 3.0]]), **none}, np.array([2.0]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # taste + own popularity + novelty exp(-age / 4); item 1 is not there before day 1
        (0.0, [3 + 0.5 + 2 * np.exp(-1 / 4), -np.inf]),
        (1.0, [3 + 0.5 + 2 * np.exp(-2 / 4), 2.0]),
        (3.0, [0.5 + 2 * np.exp(-4 / 4), 3 + 2 * np.exp(-2 / 4)]),  # after the drift
        (6.0, [0.5 + 2 * np.exp(-7 / 4) + 1, 3 + 2 * np.exp(-5 / 4)]),  # item 0 bursts, day 5 to 9
        (9.0, [0.5 + 2 * np.exp(-10 / 4), 3 + 2 * np.exp(-8 / 4)]),
    ],
)
def test_utilities_worked_out_by_hand(day: float, expected: list[float]) -> None:
    truth = two_items()
    scores = truth.scores(np.array([0]), truth.start_seconds + day * DAY_SECONDS)
    np.testing.assert_allclose(scores, [expected], atol=1e-6)


@hypothesis_settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(20, 80), st.integers(7, 20), st.floats(0.05, 1))
def test_nothing_happens_before_an_item_is_there_nor_after_the_end(
    seed: int, items: int, days: int, first: float
) -> None:
    settings = ShopSettings(
        items=items, users=40, days=days, events=600, seed=seed, first=first
    )  # fmt: skip
    truth = synthetic.plant(settings)
    log = synthetic.live(truth)
    created = truth.start_seconds + truth.created_day * DAY_SECONDS
    assert (log.seconds >= created[log.items]).all()
    assert truth.start_seconds <= log.seconds.min() <= log.seconds.max() < END.timestamp()
    assert (np.diff(log.seconds) >= 0).all()
    assert 0 not in log.users  # of the first user nothing is known
    views = set(zip(log.users[log.events == 0], log.items[log.events == 0], strict=True))
    assert set(zip(log.users, log.items, strict=True)) == views  # nothing is bought unseen


def recall_at_10(scores: np.ndarray, seen: np.ndarray, relevant: np.ndarray) -> float:
    top = np.argsort(-np.where(seen, -np.inf, scores), axis=1, kind="stable")[:, :10]
    hits = np.take_along_axis(relevant, top, axis=1).sum(axis=1)
    return float((hits / relevant.sum(axis=1)).mean())


def test_the_planted_tastes_beat_what_the_log_alone_tells() -> None:
    """Oracle >= 2 x item-kNN, and item-kNN and recent popularity above chance, as planted."""
    settings = ShopSettings(items=800, users=1200, events=60_000)
    truth = synthetic.plant(settings)
    log = synthetic.live(truth)
    cut = int(END.timestamp()) - 7 * DAY_SECONDS
    past = log.seconds < cut
    seen, relevant = np.zeros((2, settings.users, settings.items), np.bool_)
    seen[log.users[past], log.items[past]] = True
    relevant[log.users[~past], log.items[~past]] = True
    relevant &= ~seen
    who = np.flatnonzero(relevant.any(axis=1) & seen.any(axis=1))
    taken = seen.astype(np.float64)
    together = taken.T @ taken
    count = np.diag(together).copy()
    np.fill_diagonal(together, 0)
    nearest = taken[who] @ (together / np.sqrt(np.maximum(np.outer(count, count), 1)))
    age = (cut - log.seconds[past]) / DAY_SECONDS
    recent = np.bincount(log.items[past], weights=0.5 ** (age / 2), minlength=settings.items)
    judged = [
        recall_at_10(scores, seen[who], relevant[who])
        for scores in (
            truth.scores(who, cut),
            nearest,
            np.broadcast_to(recent, nearest.shape),
            np.random.default_rng(0).random(nearest.shape),
        )
    ]
    oracle, neighbours, popular, chance = judged
    assert oracle > 2 * max(neighbours, popular)
    assert neighbours > 2 * chance
    assert popular > 1.3 * chance
    shuffled = truth.scores(np.random.default_rng(1).permutation(who), cut)  # others' tastes
    assert recall_at_10(shuffled, seen[who], relevant[who]) < oracle / 2


def test_no_modality_is_left_without_weight() -> None:
    truth = synthetic.plant(ShopSettings(items=400, users=500))
    users = np.arange(500)
    whole = truth.tastes(users, 0)
    spread = {}
    for dimension in (("theme",), ("hue", "pattern"), ("motion",)):
        none = {name: truth.likes[name] * 0 for name in dimension}
        without = dataclasses.replace(truth, likes={**truth.likes, **none}, drift_day=users + 9.0)
        aligned = dataclasses.replace(truth, drift_day=users + 9.0)
        spread[dimension] = (aligned.tastes(users, 0) - without.tastes(users, 0)).std()
    assert max(spread.values()) < 1.3 * min(spread.values())
    assert whole.std() > 1.5


def test_same_settings_same_files_and_another_seed_others(shop: Path, tmp_path: Path) -> None:
    write_shop(TINY, tmp_path / "again")
    assert content(tmp_path / "again") == content(shop)
    other = TINY.model_copy(update={"seed": 1})
    write_shop(other, tmp_path / "other")
    assert content(tmp_path / "other").keys() != content(shop).keys()
    assert {path.name for path in tmp_path.iterdir()} == {"again", "other"}  # nothing left behind


def test_the_folder_is_what_a_user_would_bring(shop: Path) -> None:
    assert {path.name for path in shop.iterdir()} == {
        "interactions.csv", "items.jsonl", "users.csv", "media",
    }  # fmt: skip
    items = [json.loads(line) for line in (shop / "items.jsonl").read_text().splitlines()]
    assert [item["item_id"] for item in items] == [f"i{row:05d}" for row in range(60)]
    paths = {str(item[name]) for item in items for name in ("image", "video") if name in item}
    assert paths == {name for name in content(shop) if name.startswith("media/")}
    assert len(paths) < 120  # some items lack a photo or a clip
    with (shop / "users.csv").open() as stream:
        users = {row["user_id"] for row in csv.DictReader(stream)}
    with (shop / "interactions.csv").open() as stream:
        active = {row["user_id"] for row in csv.DictReader(stream)}
    assert len(users) == 80
    assert active - {""} < users  # some users have no events


def test_ingest_keeps_all_but_the_rows_broken_on_purpose(shop: Path) -> None:
    known = {f"i{row:05d}" for row in range(60)}
    now = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    chosen = DataSettings.model_validate({"folder": str(shop), "quarantine_fail": 0.05})
    found = interactions.ingest(chosen, known, now)
    (account,) = found.account.accounting.values()
    # a share of 0.01 of the rows is broken, whole rows only
    assert account["quarantined"] == int(0.01 * account["read"]) > 0
    assert account["kept"] == account["read"] - account["quarantined"]


def test_a_folder_that_is_there_is_left_alone(shop: Path) -> None:
    before = content(shop)
    with pytest.raises(InputFault, match="exists already"):
        write_shop(TINY, shop)
    assert content(shop) == before

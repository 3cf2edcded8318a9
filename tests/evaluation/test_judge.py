"""One system's numbers, and several beside each other (`recsys.evaluation.evaluate`)."""

import json

import numpy as np
import pytest

from recsys.errors import InputFault, UsageFault
from recsys.evaluation import evaluate
from recsys.evaluation.evaluate import Judgement, Segments, Shop, compare, judge
from recsys.evaluation.lists import row_sets
from recsys.evaluation.significance import paired_difference

RELEVANT = row_sets(np.array([0, 2, 3, 3]), np.array([0, 3, 1]))
SHOP = Shop(np.array([4.0, 3, 0, 0]), vectors=np.eye(4, dtype=np.float32))


def test_golden_segments() -> None:
    # User 0 wants 0 and 3, gets 0; user 1 wants 1, gets it; user 2 wants nothing.
    # Items 2 and 3 are new: user 0 wanted one of them and got none; the others wanted none.
    segments = Segments(
        users={"user_short": np.array([True, False, True])},
        items={"item_new": np.array([False, False, True, True])},
    )
    found = judge(np.array([[0, 2], [1, -1], [0, 1]]), RELEVANT, [1, 2], segments, SHOP)
    assert found.per_user["recall_at_2"] == pytest.approx([0.5, 1, np.nan], nan_ok=True)
    nan = np.nan
    assert found.per_user["recall_at_2/user_short"] == pytest.approx([0.5, nan, nan], nan_ok=True)
    assert found.per_user["recall_at_2/item_new"] == pytest.approx([0, nan, nan], nan_ok=True)
    assert found.overall["coverage_at_2"] == 0.75
    assert {"novelty_at_1", "diversity_at_2", "popularity_share_at_2"} <= found.per_user.keys()
    assert "gini_at_1" in found.overall


def test_a_shelf_counts_what_was_wanted_of_its_items() -> None:
    segments = Segments(items={"item_new": np.array([False, False, True, True])})
    shelves = {"item_new": np.array([[3, 2], [2, 3], [2, -1]])}
    lists = np.array([[0, 2], [1, -1], [0, 1]])
    found = judge(lists, RELEVANT, [1, 2], segments, SHOP, shelves).per_user
    nan = np.nan
    assert found["recall_at_1/item_new_shelf"] == pytest.approx([1, nan, nan], nan_ok=True)
    assert found["recall_at_1/item_new"] == pytest.approx([0, nan, nan], nan_ok=True)
    assert "recall_at_1/item_new_shelf" not in judge(lists, RELEVANT, [1], segments, SHOP).per_user


def systems() -> dict[str, Judgement]:
    generator = np.random.default_rng(8)
    relevant = row_sets(np.arange(0, 201, 2), generator.integers(0, 20, 200))
    shop = Shop(generator.integers(0, 9, 20).astype(float))
    lists = [np.argsort(generator.random((100, 20)), axis=1)[:, :5] for _ in range(2)]
    return {
        name: judge(ranked, relevant, [1, 5], Segments(), shop)
        for name, ranked in zip(("model", "popular"), lists, strict=True)
    }


def test_table_holds_means_and_paired_differences() -> None:
    judgements = systems()
    table = compare(judgements, "popular", np.random.default_rng(0))
    ours, theirs = (judgements[s].per_user["ndcg_at_5"] for s in ("model", "popular"))
    cell = table.cell("model", "ndcg_at_5")
    assert cell.value.mean == pytest.approx(ours.mean())
    assert cell.difference is not None
    alone = paired_difference(ours, theirs, np.random.default_rng(1))
    assert cell.difference.mean == pytest.approx(alone.mean)
    assert cell.difference.low == pytest.approx(alone.low, abs=0.01)
    assert table.cell("popular", "ndcg_at_5").difference is None
    assert table.mean("model", "coverage_at_5") == judgements["model"].overall["coverage_at_5"]


def test_same_generator_same_table_in_any_grouping(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(systems(), "popular", np.random.default_rng(0)).to_frame()
    monkeypatch.setattr(evaluate, "CELLS_PER_GROUP", 1_000)
    parts = compare(systems(), "popular", np.random.default_rng(0)).to_frame()
    assert parts.equals(whole) or np.allclose(
        parts["low"].drop_nulls(), whole["low"].drop_nulls(), atol=1e-12
    )


def test_differences_use_only_users_with_both_values() -> None:
    ours = Judgement({"novelty_at_1": np.array([1.0, 2.0, np.nan])}, {})
    theirs = Judgement({"novelty_at_1": np.array([0.5, np.nan, 9.0])}, {})
    table = compare({"a": ours, "b": theirs}, "b", np.random.default_rng(0))
    difference = table.cell("a", "novelty_at_1").difference
    assert difference is not None
    assert (difference.mean, difference.low, difference.high) == (0.5, 0.5, 0.5)
    assert difference.users == 1


def test_json_has_no_nan() -> None:
    text = json.dumps(compare(systems(), "popular", np.random.default_rng(0)).to_dict())
    assert "NaN" not in text


def test_unknown_reference_and_unlike_systems_are_refused() -> None:
    judgements = systems()
    with pytest.raises(UsageFault, match="choose one of model, popular"):
        compare(judgements, "ease", np.random.default_rng(0))
    judgements["other"] = Judgement({"mrr": np.zeros(100)}, {})
    with pytest.raises(InputFault, match="different metrics or users"):
        compare(judgements, "model", np.random.default_rng(0))

"""What a user may ask for on top, on a tiny shop: lists that get older, rules of variety."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import answers, cli, inputs, questions, staleness, trade_off, train
from pipelines.settings import Settings
from recsys.data import splits
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.engine import HERE
from recsys.evaluation.metrics import match, recall_at_k
from recsys.serving import release
from recsys.settings import load

TINY = ShopSettings(
    items=120, users=80, days=14, events=2500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a work folder with a trained model."""
    root = tmp_path_factory.mktemp("extras")
    write_shop(TINY, root / "shop")
    words = [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=3", "split.test_days=3", "train.epochs=1", "model.width=16",
        "features.video.encoder=none", "evaluation.draws=100", "evaluation.ks=[5, 10]",
        "evaluation.staleness.edges_hours=[12, 24, 72, 96]",
    ]  # fmt: skip
    assert cli.invoke(["ingest", *words]) == 0
    assert cli.invoke(["train", *words]) == 0
    return words


def told(command: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.invoke(command) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_stale_lists_beside_fresh_ones(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(["evaluate", "--stale", "--json", *chosen], capsys)
    aged = found["staleness"]
    assert [span["segment"] for span in aged["spans"]] == [
        "hours_0_12", "hours_12_24", "hours_24_72",
    ]  # fmt: skip
    rows = {(row["system"], row["metric"]): row for row in aged["rows"]}
    assert {metric.partition("/")[0] for _, metric in rows} == {"recall_at_5", "recall_at_10"}
    first, last = (rows["fresh", f"recall_at_10/{name}"] for name in ("hours_0_12", "hours_24_72"))
    assert (first["difference"], first["difference_low"], first["difference_high"]) == (0, 0, 0)
    assert last["difference"] != 0
    assert last["users"] == rows["stale", "recall_at_10/hours_24_72"]["users"] > first["users"] / 2
    assert json.loads((Path(found["evaluation"]) / "table.json").read_text())["staleness"] == aged


def test_fresh_lists_know_what_happened_before_their_moment_only(chosen: list[str]) -> None:
    settings = load(Settings, None, chosen)
    found, model = inputs.load(settings), train.load(settings)
    split = found.split(settings)
    asked = questions.question(split, splits.TEST)
    everyone = asked.everyone()
    span = staleness.spans(settings, split)[2]
    log = split.events
    lists = staleness._fresh(settings, found, split, model, (everyone, asked.wanted(), span), 20)
    assert (lists >= 0).any(axis=1).all()
    offsets = dict(zip(log.user_ids, zip(log.offsets, log.offsets[1:], strict=False), strict=True))
    later = 0
    for user, row in zip(everyone.user_ids, lists, strict=True):
        start, stop = offsets[user]
        items, times = log.items[start:stop], log.times[start:stop]
        had = set(items[times < span.start_seconds].tolist())
        assert not had & set(row.tolist())
        later += len(set(items[times >= span.start_seconds].tolist()) & set(row.tolist()))
    assert later > 0  # what came later was not left out, or nothing could be found


def test_only_a_split_in_time_has_stale_lists(
    chosen: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"work={tmp_path}", *chosen[1:], "split.kind=leave_one_out"]
    for command in ("ingest", "train"):
        assert cli.invoke([command, *words]) == 0
    assert cli.invoke(["evaluate", "--stale", *words]) == 2
    assert "only a split in time" in capsys.readouterr().err


def test_what_variety_costs(chosen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    rules = ["lists.diversity.mmr=0.7", "lists.diversity.category_cap=3"]
    found = told(["evaluate", "--trade-off", "--json", *chosen, *rules], capsys)["trade_off"]
    rows = {(row["system"], row["metric"]): row for row in found["rows"]}
    systems = {variant["system"]: variant["rule"] for variant in found["variants"]}
    assert systems["as set"] == ""
    assert systems["without mmr"] == "mmr"
    assert {system for system, _ in rows} == set(systems)
    assert found["k"] == 5
    assert rows["as set", "diversity_at_5"]["mean"] > rows["without mmr", "diversity_at_5"]["mean"]
    assert rows["without mmr", "recall_at_5"]["difference"] is not None


def test_the_trade_off_is_that_of_the_validation_window(chosen: list[str]) -> None:
    settings = load(Settings, None, chosen)
    found, model = inputs.load(settings), train.load(settings)
    split = found.split(settings)
    table, _ = trade_off.measure(settings, found, split, model)
    asked = questions.question(split, splits.VALIDATION)
    past = split.window(splits.VALIDATION).history
    recommender = answers.recommender(settings, found, model, past, asked.at_seconds)
    lists = answers.lists(recommender, asked, 5, HERE)
    expected = recall_at_k(match(lists, asked.wanted()), 5)
    assert table.users == len(asked.everyone())
    assert table.mean("as set", "recall_at_5") == pytest.approx(expected.mean())


def test_rules_of_variety_are_columns_of_a_night(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = [
        "lists.diversity.mmr=0.6", "lists.diversity.price_band=0.5",
        # a model of two steps lists much the same for everybody
        "gates.rules.same_list.on=false", "gates.rules.one_item_in_lists.on=false",
    ]  # fmt: skip
    night = told(["nightly", "--json", "nightly.k=8", *chosen, *rules], capsys)
    lists = release.read_lists(Path(night["release"]))
    terms = [name for name in lists.columns if name.startswith("term_")]
    assert terms[-3:] == ["term_price_band", "term_diversity", "term_segment"]
    sums = lists.select(pl.sum_horizontal(terms)).to_series()
    assert (sums - lists["score"]).abs().max() < 1e-9
    of_model = lists.filter(pl.col("source") == "model")
    assert of_model["term_price_band"].min() < 0
    assert of_model["term_diversity"].min() < 0
    assert set(of_model["term_segment"]) == {0}
    assert lists.filter(pl.col("source") == "popular")["term_segment"].abs().max() > 0
    page = (Path(night["release"]) / "report.html").read_text()
    assert "what it falls to make room" in page


def test_shelves_hold_recall_of_all_systems(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(["evaluate", "--json", "--only", "id", *chosen], capsys)
    k = found["facts"]["ks"][0]
    means = {
        row["system"]: row["mean"]
        for row in found["rows"]
        if row["metric"] == f"recall_at_{k}/item_new_shelf"
    }
    assert {"lists", "model", "only id", "popular"} <= set(means)
    # new items have no id in the model: with nothing but ids they all look the same
    assert means["lists"] > 0
    plain = told(["evaluate", "--json", *chosen], capsys)
    assert not [row for row in plain["rows"] if row["metric"].endswith("_shelf")]

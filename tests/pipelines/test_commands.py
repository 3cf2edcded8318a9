"""The command line on a tiny sample shop: every stage, and an exit code for every kind of fault."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from pipelines import cli, inputs, lessons, runs, stand_ins, trained
from pipelines.settings import Settings
from recsys import durable
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.settings import load as read_settings

TINY = ShopSettings(
    items=150, users=60, days=14, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
Recsys = Callable[..., int]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a work folder in which a whole night has been published."""
    root = tmp_path_factory.mktemp("shop")
    write_shop(TINY, root / "shop")
    chosen = [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=2", "model.width=16",
        "evaluation.draws=100", "evaluation.ks=[5, 10]", "nightly.k=5", "nightly.valid_hours=1e6",
        "features.video.frames=4",
        "lists.candidates.count=20",
    ]  # fmt: skip
    assert cli.invoke(["nightly", *chosen]) == 0
    return chosen


def root(settings: list[str]) -> Path:
    return Path(settings[0].removeprefix("work="))


def release(settings: list[str]) -> tuple[str, dict[str, str]]:
    """Name of the live release and the sha256 of its files."""
    name = (root(settings) / "releases" / "CURRENT").read_text().strip()
    manifest = json.loads((root(settings) / "releases" / name / "manifest.json").read_text())
    return name, {file: entry["sha256"] for file, entry in manifest["files"].items()}


def test_a_night_publishes_a_list_for_everybody(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["verify", "--json", *settings]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["users"] == TINY.users
    assert checked["rows"] == TINY.users * 5
    assert checked["stray"] == []


def test_a_model_that_was_read_back_sees_what_it_was_trained_on(settings: list[str]) -> None:
    chosen = read_settings(Settings, None, settings)
    found = inputs.load(chosen)
    lesson = lessons.prepare(chosen, found, found.split(chosen))
    model = trained.load(chosen)
    seen = stand_ins.item_features(chosen, found, model.trained, model.attributes)
    learned = lesson.data.features
    assert seen.names == learned.names
    for name in seen.names:  # also in which column what stands
        there = learned.present[:, seen.names.index(name)]
        assert there.any()
        assert torch.equal(seen.mean(name)[there], learned.mean(name)[there])
    assert torch.equal(seen.present, learned.present)
    assert torch.equal(seen.id_rows(), learned.id_rows())
    assert model.towers.shape.user_columns == lesson.user_columns


def test_the_same_night_again_is_the_same_release(settings: list[str]) -> None:
    before = release(settings)
    assert cli.invoke(["nightly", *settings]) == 0
    assert release(settings) == before


def test_a_night_from_nothing_has_the_same_bytes(settings: list[str], tmp_path: Path) -> None:
    fresh = [f"work={tmp_path}/work", *settings[1:]]
    assert cli.invoke(["nightly", *fresh]) == 0
    assert release(fresh) == release(settings)


def test_an_earlier_date_and_rolling_back(settings: list[str]) -> None:
    live, _ = release(settings)
    assert cli.invoke(["nightly", "--date", "2026-10-29", *settings]) == 0
    assert release(settings)[0].startswith("2026-10-29-")
    assert cli.invoke(["rollback", "--to", live, *settings]) == 0
    assert release(settings)[0] == live
    assert cli.invoke(["rollback", "--to", "2020-01-01-none", *settings]) == 3


def test_a_dry_run_publishes_nothing(settings: list[str]) -> None:
    before = sorted(path.name for path in (root(settings) / "releases").iterdir())
    assert cli.invoke(["nightly", "--dry-run", "--date", "2026-10-28", *settings]) == 0
    assert sorted(path.name for path in (root(settings) / "releases").iterdir()) == before


@pytest.mark.parametrize(
    "command",
    [["check"], ["encode"], ["evaluate", "--without", "image"], ["status"], ["show-user", "u00030"],
     ["similar", "i00001"], ["similar", "i00001", "--by", "euclidean"],
     ["similar", "i00001", "--by", "co-consumption", "--view", "collaborative"],
     ["search", "--text", "a lighthouse"], ["annotate", "annotate.least_items=5"],
     ["ask", "which brand is it?", "--item", "i00001"],
     ["pretrain", "pretrain.steps=3", "pretrain.batch=32", "pretrain.sample=20",
      "pretrain.objectives.rotation=1", "pretrain.objectives.order=1"],
     ["train", "train.epochs=1"]],
    ids=lambda command: "-".join(command[:2]),
)  # fmt: skip
def test_commands_end_well_and_speak_json(
    settings: list[str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke([*command, "--json", *settings]) == 0
    assert json.loads(capsys.readouterr().out)


def test_a_list_is_explained_by_the_history_and_by_what_the_items_are_made_of(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.invoke(["show-user", "u00030", "--why", "--json", *settings]) == 0
    told = json.loads(capsys.readouterr().out)
    log = pl.read_csv(root(settings) / ".." / "shop" / "interactions.csv", infer_schema=False)
    had = set(log.filter(pl.col("user_id") == "u00030")["item_id"])
    whys = [row["why"] for row in told["list"]]
    assert {pull["item_id"] for why in whys for pull in why["drawn_by"]} <= had
    assert any(why["drawn_by"] for why in whys)
    for why in whys:
        worth = [pull["worth"] for pull in why["drawn_by"]]
        assert worth == sorted(worth, reverse=True)
        assert sum(why["weights"].values()) == pytest.approx(1)
        assert set(why["parts"]) <= set(why["weights"])
    assert cli.invoke(["show-user", "u00030", "--why", *settings]) == 0
    assert "drawn by" in capsys.readouterr().out


def test_search_finds_what_passes_by_text_photo_and_both(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    photo = next((root(settings) / ".." / "shop" / "media" / "photos").glob("*.jpg"))
    for query in (["--text", "anchor"], ["--text", "anchor", "--image", str(photo)]):
        filters = ["--category", "mug", "--category", "lamp", "--max-price", "30", "-k", "5"]
        assert cli.invoke(["search", *query, *filters, "--json", *settings]) == 0
        told = json.loads(capsys.readouterr().out)
        assert set(told["query_weights"]) == {"text", "image"} & {flag[2:] for flag in query[::2]}
        assert [row["rank"] for row in told["items"]] == [1, 2, 3, 4, 5]
        for row in told["items"]:
            assert set(row["category"]) <= {"mug", "lamp"}
            assert row["price"] <= 30
            assert row["available"]
            assert sum(row["weights"].values()) == pytest.approx(1)


def test_the_pretrained_space_is_searched_and_knows_no_ids(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["pretrain", "pretrain.steps=2", "pretrain.batch=32", *settings]) == 0
    capsys.readouterr()
    for command, key in (
        (["search", "--text", "anchor"], "items"),
        (["similar", "i00001"], "similar"),
    ):
        assert cli.invoke([*command, "--model", "pretrained", "--json", *settings]) == 0
        rows = json.loads(capsys.readouterr().out)[key]
        assert len(rows) == 10
        assert all("id" not in row["weights"] for row in rows)
    told = {}
    for model in ("live", "pretrained"):
        annotate = ["annotate", "annotate.least_items=5", "--model", model, "--json"]
        assert cli.invoke([*annotate, *settings]) == 0
        told[model] = json.loads(capsys.readouterr().out)
    assert told["live"]["annotations"] != told["pretrained"]["annotations"]
    figures = [
        [row["accuracy"] for row in each["heads"] if row["vectors"] == "text"]
        for each in told.values()
    ]
    assert figures[0] == figures[1]  # a text's vector is its encoder's, whosever the item tower is


def test_a_spoken_question_needs_a_speech_model(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "question.wav").write_bytes(b"no sound")
    spoken = ["ask", "-", "--audio", str(tmp_path / "question.wav"), *settings]
    assert cli.invoke(spoken) == 2
    assert "ask.speech_model" in capsys.readouterr().err
    assert cli.invoke([*spoken, "ask.speech_model=no/such"]) == 3


def test_generated_vectors_stand_in_for_missing_ones(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    standing = [f"work={tmp_path}/work", *settings[1:], "pretrain.stand_ins=true", "train.epochs=1"]
    assert cli.invoke(["ingest", *standing]) == 0
    assert cli.invoke(["train", *standing]) == 3  # nothing is pretrained yet
    few = ["pretrain.steps=2", "pretrain.batch=32"]
    assert cli.invoke(["pretrain", *few, "pretrain.objectives.generate=0", *standing]) == 0
    assert cli.invoke(["train", *standing]) == 3  # nothing that generates
    assert cli.invoke(["pretrain", *few, *standing]) == 0
    assert cli.invoke(["train", *standing]) == 0
    assert cli.invoke(["nightly", "--dry-run", *standing]) == 0
    capsys.readouterr()
    plain = [word for word in standing if word != "pretrain.stand_ins=true"]
    assert cli.invoke(["evaluate", "--stand-ins", "--json", *plain]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {(row["system"], row["metric"]) for row in told["rows"]}
    for system in ("lists", "with stand-ins"):
        assert (system, "recall_at_5/item_only_text_image_video_attributes") in rows


def test_training_begins_where_pretraining_ended(settings: list[str], tmp_path: Path) -> None:
    warm = [f"work={tmp_path}/work", *settings[1:], "pretrain.warm_start=true", "train.epochs=1"]
    assert cli.invoke(["ingest", *warm]) == 0
    assert cli.invoke(["train", *warm]) == 3  # nothing is pretrained yet
    assert cli.invoke(["pretrain", "pretrain.steps=2", "pretrain.batch=32", *warm]) == 0
    assert cli.invoke(["train", *warm, "model.width=8"]) == 6
    assert cli.invoke(["train", *warm]) == 0
    name = (tmp_path / "work" / "models" / "CURRENT").read_text().strip()
    manifest = json.loads((tmp_path / "work" / "models" / name / "manifest.json").read_text())
    assert manifest["parents"]["pretrained"].startswith("pretrained-")


def test_ablation_and_the_lists_that_caught_up(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.invoke(["evaluate", "--ablate", "--json", *settings]) == 0
    systems = {row["system"] for row in json.loads(capsys.readouterr().out)["rows"]}
    wanted = {f"{how} {name}" for how in ("without", "only") for name in ("text", "image", "id")}
    assert systems >= {"lists", "model", "caught_up", "popular"} | wanted
    assert cli.invoke(["evaluate", "--without", "text", "--retrain", "--json", *settings]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    means = {row["system"]: row["mean"] for row in rows if row["metric"] == "recall_at_10"}
    assert 0 <= means["without text"] <= 1
    assert cli.invoke(["doctor", "--model", "--json", *settings]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {"negatives", "skew", "false negs"} <= {check["check"] for check in checks}


@pytest.mark.parametrize("kind", ["leave_one_out", "random_80_10_10"])
def test_splits_of_published_tables(
    settings: list[str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [value for value in settings[1:] if not value.startswith("split.")]
    chosen = [
        f"work={tmp_path}", *others, f"split.kind={kind}", "model.users.request_time=true",
        "features.video.encoder=none",
    ]  # fmt: skip
    for command in ("ingest", "train"):
        assert cli.invoke([command, *chosen]) == 0
    capsys.readouterr()
    assert cli.invoke(["evaluate", "--json", *chosen]) == 0
    told = json.loads(capsys.readouterr().out)
    recall = {row["system"]: row for row in told["rows"] if row["metric"] == "recall_at_10"}
    assert told["facts"]["new_users"] == 0
    assert recall["lists"]["mean"] > 0
    # what happens in between is not known: there is nothing to catch up with
    assert "caught_up" not in recall


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nightli"], 2, "Did you mean"),
        (["nightly", "--k"], 2, "No such option"),
        (["nightly", "--date", "2026-02-30"], 2, "not a date"),
        (["nightly", "--date", "31-12-2026"], 2, "not a date"),
        (["nightly", "train.epoch=3"], 2, "did you mean 'epochs'"),
        (["nightly", "nightly.k=0"], 2, "greater than or equal to 1"),
        (["evaluate", "--without", "smell"], 2, "no such modality"),
        (["ingest", "data.folder=/nowhere"], 3, "does not exist"),
        (["show-user", "u000300"], 3, "did you mean"),
        (["similar", "i1", "-k", "3"], 3, "did you mean"),
        (["ask", " "], 2, "empty or too long"),
        (["ask", "why?", "--item", "i1"], 3, "did you mean"),
        (["search"], 2, "nothing to search with"),
        (["search", "--audio", "x.wav"], 2, "reads no audio"),
        (["search", "--image", "/dev/zero"], 3, "media_not_a_file"),
        (["search", "--image", "README.md"], 3, "not_an_image"),
        (["search", "--text", " "], 3, "blank"),
        (["search", "--text", "mug", "--category", "mugg"], 2, "such as mug"),
        (["verify", "work=/tmp/no-such-work-folder"], 3, "there is no release yet"),
    ],
)
def test_what_a_user_can_cause_has_its_exit_code(
    settings: list[str],
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = (
        2 if arguments[0] in {"show-user", "similar", "ask"} else 1
    )  # what stands before the settings
    assert cli.invoke([*arguments[:ids], *settings, *arguments[ids:]]) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_a_second_run_says_who_holds_the_lock(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with durable.exclusive(root(settings)):
        assert cli.invoke(["nightly", *settings]) == 5
    assert "another run holds the lock" in capsys.readouterr().err


def test_a_damaged_release_is_refused(settings: list[str]) -> None:
    name, _ = release(settings)
    part = next((root(settings) / "releases" / name / "lists").glob("*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert cli.invoke(["verify", *settings]) == 3
    part.write_bytes(whole)
    assert cli.invoke(["verify", *settings]) == 0


def test_every_run_leaves_its_record(settings: list[str]) -> None:
    assert cli.invoke(["evaluate", "--without", "smell", *settings]) == 2
    records = [
        json.loads(path.read_text()) for path in (root(settings) / "runs").glob("*/run.json")
    ]
    assert {"ok", "failed"} <= {record["status"] for record in records}
    assert all(record["status"] != "running" for record in records)


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EROFS", "EFBIG", "EIO"])
def test_a_disk_that_fails_is_a_matter_of_resources(name: str) -> None:
    assert runs.exit_code(OSError(getattr(errno, name), "as the system says")) == 7
    assert runs.exit_code(OSError(errno.EPIPE, "as the system says")) == 1
    number = getattr(errno, name)
    for told in (f"parquet: underlying IO error (os error {number})", os.strerror(number)):
        assert runs.exit_code(RuntimeError(told)) == 7  # as libraries in Rust and C++ say it
    assert runs.exit_code(RuntimeError("(os error 2)")) == 1
    ended = "parquet: File out of specification: Invalid thrift: transport error"
    assert runs.exit_code(pl.exceptions.ComputeError(ended)) == 7  # no room for a file's last bytes

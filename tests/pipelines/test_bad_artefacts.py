"""Rows of reliability.md 2.9 to 2.13 that a command line meets: each with its exit code and words.

One row a case: what is done to a work folder with two published nights, and what a command says.
"""

import contextlib
import datetime
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import cli, inputs, trained
from pipelines.settings import ChampionSettings, Settings
from recsys import artefacts, durable
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.errors import UsageFault
from recsys.serving import release

TINY = ShopSettings(
    items=100, users=50, days=14, events=1500, photo_side=16, no_clip=1, no_photo=1, broken=0
)


def words(root: Path) -> list[str]:
    return [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=1", "model.width=16",
        "train.checkpoint_steps=1", "evaluation.draws=100", "evaluation.ks=[5]", "nightly.k=5",
        "nightly.similar=2", "lists.candidates.count=20",
        # 46 users may well be listed much the same
        *(f"gates.rules.{name}.on=false" for name in ("same_list", "one_item_in_lists")),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop, its nights with lists of five and of six places, and a training's checkpoints."""
    root = tmp_path_factory.mktemp("bad")
    write_shop(TINY, root / "shop")
    assert cli.invoke(["nightly", "--date", "2026-10-29", *words(root)]) == 0
    assert cli.invoke(["nightly", *words(root), "nightly.k=6"]) == 0
    return root


def grow(root: Path) -> None:
    """A new item, and somebody who looked at it."""
    items, log = root / "shop" / "items.jsonl", root / "shop" / "interactions.csv"
    last = json.loads(items.read_text().splitlines()[-1]) | {"item_id": "new"}
    items.write_text(items.read_text() + json.dumps(last) + "\n")
    first = log.read_text().splitlines()[1].split(",")
    log.write_text(log.read_text() + ",".join([first[0], "new", *first[2:]]) + "\n")
    assert cli.invoke(["ingest", *words(root)]) == 0


def forget_checkpoints(root: Path) -> None:
    shutil.rmtree(root / "work" / "checkpoints")


def empty_log(root: Path) -> None:
    (root / "shop" / "interactions.csv").unlink()
    (root / "shop" / "interactions").mkdir()


def promise_fewer(root: Path) -> None:
    """The live release says that its lists are shorter, and its ids numbers."""
    folder, manifest = artefacts.current(root / "work" / "releases", release.KIND)
    manifest["settings"]["nightly"]["k"] = 4
    manifest["integer_ids"] = {"item_id": True}
    del manifest["seal"]
    manifest["seal"] = artefacts.seal(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def nothing(root: Path) -> None:
    """The work folder as it is."""


@pytest.mark.parametrize(
    ("prepare", "command", "code", "said"),
    [
        pytest.param(grow, ["train", "--resume"], 6, ["another run", "data"], id="M06"),
        pytest.param(
            nothing, ["evaluate", "model.width=24"], 0,
            ["model.width = 16, now 24", "next training"], id="M11",
        ),
        pytest.param(  # of the same width: its vectors would be read
            nothing, ["evaluate", "features.image.side=24"], 6,
            ["other encoders", "image: image-", ", now image-"], id="M11-encoder",
        ),
        pytest.param(nothing, ["status"], 4, ["expired", "valid for 72"], id="L06"),
        pytest.param(nothing, ["diff", "2026-10-29", "2026-10-30"], 6, ["5 and 6"], id="L08-diff"),
        pytest.param(
            promise_fewer, ["verify"], 3,
            ["6 places instead of 4", "item_id is String instead of Int64"], id="L08-verify",
        ),
        pytest.param(empty_log, ["ingest"], 3, ["interactions.csv", "shop"], id="R06"),
        pytest.param(forget_checkpoints, ["train", "--resume"], 3, ["work/checkpoints"], id="R07"),
        pytest.param(
            nothing, ["ingest", "tracking.uri=file:./mlruns"], 2, ["SQLite", "tracking.uri"],
            id="U04",
        ),
        *(
            pytest.param(
                nothing, ["train", f"tracking.experiment={name}"], 2, ["tracking.experiment"],
                id=f"U08-{name}",
            )
            for name in ("../x", "/abs", "a:b", " ")
        ),
    ],
)  # fmt: skip
def test_a_bad_row_is_answered(
    published: Path, prepare: Callable[[Path], None], command: list[str], code: int,
    said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    prepare(tmp_path)
    capsys.readouterr()
    ids = command[:3] if command[0] == "diff" else command[:1]
    assert cli.invoke([*ids, *words(tmp_path), *command[len(ids) :]]) == code
    err = capsys.readouterr().err
    assert all(word in err for word in said), err
    assert "Traceback" not in err


def test_a_refusal_that_is_meant_is_accepted_with_its_reason(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    night = ["nightly", *words(tmp_path), "gates.rules.few_users.fail=1000"]
    night += ["gates.rules.few_users.warn=2000"]
    assert cli.invoke(night) == 4
    assert "--accept few_users" in capsys.readouterr().err
    assert cli.invoke([*night, "--accept", "few_users"]) == 2
    assert cli.invoke([*night, "--accept", "few_users", "--reason", "it is a new shop"]) == 0
    _, manifest = artefacts.current(tmp_path / "work" / "releases", release.KIND)
    kept = next(gate for gate in manifest["gates"] if gate["name"] == "few_users")
    assert (kept["verdict"], "it is a new shop" in kept["limit"]) == ("warn", True)


def test_looking_makes_a_missing_basis_only_where_nobody_else_may(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    work = tmp_path / "work"
    folder, _ = artefacts.current(work / "releases", release.KIND)
    lists = release.read_lists(folder).filter(source=release.MODEL)
    user, listed = lists["user_id"][0], set(lists.filter(user_id=lists["user_id"][0])["item_id"])
    others = sorted(set(lists["item_id"]) - listed)
    asked = ["why-not", user, others[0], *words(tmp_path), "nightly.k=6"]
    shutil.rmtree(work / "bases")
    with durable.exclusive(work):
        assert cli.invoke(asked) == 5
    assert cli.invoke(asked) == 0
    assert artefacts.versions(work / "bases")
    with durable.exclusive(work):  # now nothing has to be made
        assert cli.invoke(asked) == 0


@pytest.mark.parametrize(("day", "fine"), [("2026-11-22", True), ("2026-11-23", False)])
def test_r02_a_day_that_has_not_begun_anywhere(day: str, fine: bool) -> None:
    now = datetime.datetime(2026, 11, 21, 10, 30, tzinfo=datetime.UTC)  # the 22nd in Kiritimati
    refused = contextlib.nullcontext() if fine else pytest.raises(UsageFault, match="not begun")
    with refused:
        inputs.refuse_future(datetime.date.fromisoformat(day), now)


def test_old_models_go_but_none_that_is_needed(tmp_path: Path) -> None:
    settings = Settings(work=str(tmp_path), champion=ChampionSettings(keep=2))
    for number in range(6):
        live = number == 1
        with artefacts.publishing(tmp_path / "models", f"m{number}", "model", current=live):
            pass
        os.utime(tmp_path / "models" / f"m{number}" / "manifest.json", (number, number))
    parents = {"model": "m2 0123456789abcdef"}
    with artefacts.publishing(tmp_path / "releases", "r", release.KIND, parents=parents):
        pass
    trained.prune(settings)
    assert artefacts.versions(tmp_path / "models") == ["m1", "m2", "m4", "m5"]
    (tmp_path / "releases" / "r" / "manifest.json").write_text("{}")
    trained.prune(Settings(work=str(tmp_path), champion=ChampionSettings(keep=1)))
    assert len(artefacts.versions(tmp_path / "models")) == 4  # nobody knows what "r" needs


def test_m06_a_model_serves_a_catalogue_that_grew(published: Path, tmp_path: Path) -> None:
    """Rows of its table are found by id, so a new item in between moves nobody else's."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    models = tmp_path / "work" / "models"
    before = artefacts.versions(models)
    grow(tmp_path)
    assert cli.invoke(["nightly", *words(tmp_path), "gates.rules.drift.on=false"]) == 0
    assert artefacts.versions(models) == before
    folder, _ = artefacts.current(tmp_path / "work" / "releases", release.KIND)
    assert "new" in set(release.read_similar(folder)["item_id"])


def test_l06_lists_that_are_fresh_end_well(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    valid = ["nightly.valid_hours=1e6", "--date", "2026-10-29"]
    assert cli.invoke(["nightly", *words(tmp_path), *valid]) == 0
    assert cli.invoke(["status", *words(tmp_path)]) == 0

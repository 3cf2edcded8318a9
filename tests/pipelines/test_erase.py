"""Erasing a user and an item from a whole work folder, killed in between, and the night after."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from pipelines import cli
from recsys import artefacts, durable
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.models import saved
from recsys.serving import audit, release

TINY = ShopSettings(
    items=150, users=60, days=14, events=1500, photo_side=32, clip_side=32, clip_frames=8,
    broken=0.05,
)  # fmt: skip
USER, ITEM = "u00011", "i00023"
WORDS = {"user": [USER], "item": [ITEM, "--item"]}
COLUMNS = ("user_id", "item_id", "similar_item_id")
Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shop and a work folder in which two nights have been published."""
    root = tmp_path_factory.mktemp("erase")
    write_shop(TINY, root / "shop")
    for date in ("2026-10-30", "2026-10-29"):
        assert cli.invoke(["nightly", "--date", date, *settings(root, root / "work")]) == 0
    return root


def settings(root: Path, work: Path) -> list[str]:
    return [
        f"work={work}", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=2", "model.width=16",
        "evaluation.draws=100", "evaluation.ks=[5, 10]", "nightly.k=5", "features.video.frames=4",
        "lists.candidates.count=20", "data.quarantine_fail=0.9",
    ]  # fmt: skip


@pytest.fixture
def work(night: Path, tmp_path: Path) -> Path:
    shutil.copytree(night / "work", tmp_path / "work")
    return tmp_path / "work"


def recsys(night: Path, work: Path, *words: str) -> int:
    return cli.invoke([*words, *settings(night, work)])


def erase(night: Path, work: Path, kind: str, *flags: str) -> int:
    return recsys(night, work, "erase", *WORDS[kind], *flags)


def versions(work: Path) -> list[Path]:
    return sorted(path.parent for path in work.rglob("manifest.json"))


def contents(work: Path) -> dict[str, str]:
    """Content hash of every artefact, each file of it checked; the pointers too."""
    found = {str(p.relative_to(work)): p.read_text() for p in work.rglob("CURRENT")}
    for folder in versions(work):
        kind = json.loads((folder / "manifest.json").read_text())["kind"]
        found[str(folder.relative_to(work))] = artefacts.read(folder, kind)["content"]
    return found


def tables(work: Path) -> Tables:
    return {
        str(path.relative_to(work)): pl.read_parquet(path, hive_partitioning=False)
        for path in sorted(work.rglob("*.parquet"))
    }


def named(work: Path, identifier: str) -> list[str]:
    """Files that hold the id in any column, or anywhere in their bytes: a search of its own."""
    found = [
        name
        for name, frame in tables(work).items()
        if any(identifier in str(row) for row in frame.iter_rows())
    ]
    whole = [path for path in work.rglob("*") if path.is_file()]
    return found + [str(path) for path in whole if identifier.encode() in path.read_bytes()]


def test_a_user_is_gone_and_every_other_row_is_as_it_was(
    night: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, live = tables(work), (work / "releases" / "CURRENT").read_text()
    assert erase(night, work, "user", "--check") == 3
    capsys.readouterr()
    assert erase(night, work, "user", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {Path(path).parent.name for path in told["touched"]} == {
        "catalogue", "event_files", "interactions", "releases",
    }  # fmt: skip
    assert {Path(row["file"]).name for row in told["dataset"]} == {"interactions.csv", "users.csv"}
    assert named(work, USER) == []
    assert erase(night, work, "user", "--check") == 0
    for name, frame in tables(work).items():
        old = before[name]
        if "user_id" in old.columns:
            old = old.filter(pl.col("user_id") != USER)
        elif "raw" in old.columns:
            old = old.filter(~pl.col("raw").fill_null("").str.contains(USER))
        assert frame.equals(old), name
    assert (work / "releases" / "CURRENT").read_text() == live
    assert not list((work / "checkpoints").glob("step-*"))
    for folder in (work / "releases").glob("2026*"):
        assert "Example lists" not in (folder / "report.html").read_text()
        counts = artefacts.read(folder, release.KIND)["counts"]
        assert (counts["users"], counts["rows"]) == (TINY.users - 1, (TINY.users - 1) * 5)
    for account in accounts(work):
        assert account["read"] == sum(
            account[fate] for fate in ("kept", "quarantined", "duplicate", "filtered")
        )
    assert recsys(night, work, "verify") == 0
    assert recsys(night, work, "show-user", USER) == 3


def accounts(work: Path) -> list[dict[str, int]]:
    folder, facts = artefacts.current(work / "interactions", "interactions")
    kept = sum(rows for name, rows in rows_of(folder).items() if name.startswith("buckets"))
    assert kept == sum(account["kept"] for account in facts["accounting"].values())
    return list(facts["accounting"].values())


def rows_of(folder: Path) -> dict[str, int]:
    """Rows by file, as the manifest says and as the files hold them."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rows = {name: entry["rows"] for name, entry in files.items() if "rows" in entry}
    assert rows == {name: len(pl.read_parquet(folder / name)) for name in rows}
    return rows


def test_an_item_is_gone_and_every_other_row_is_as_it_was(night: Path, work: Path) -> None:
    before = tables(work)
    old = saved.read(next((work / "models").glob("model-*")))
    assert erase(night, work, "item") == 0
    assert named(work, ITEM) == []
    assert erase(night, work, "item", "--check") == 0
    for name, frame in tables(work).items():
        rows = before[name]
        for column in COLUMNS:
            if column in rows.columns:
                rows = rows.filter(pl.col(column) != ITEM)
        if name.startswith("embeddings"):
            assert before[name].height - frame.height in (0, 1)
            rows = rows.filter(pl.col("key").is_in(frame["key"].implode()))
        if "raw" in rows.columns:
            rows = rows.filter(~pl.col("raw").fill_null("").str.contains(ITEM))
        ranks = [column for column in ("rank",) if column in rows.columns]
        assert frame.drop(ranks).equals(rows.drop(ranks)), name
    model = saved.read(next((work / "models").glob("model-*")))
    keep = [row for row, item in enumerate(old.item_ids.ids) if item != ITEM]
    assert model.item_ids.ids == tuple(old.item_ids.names(keep))
    table = old.model.item_tower.id_embedding.table.weight[keep]
    assert model.model.item_tower.id_embedding.table.weight.equal(table)
    for folder in (work / "releases").glob("2026*"):
        audit.verify(work / "releases", folder.name)
        rows_of(folder)


def test_the_next_night_does_not_bring_them_back(night: Path, work: Path) -> None:
    assert erase(night, work, "user") == 0
    assert erase(night, work, "item") == 0
    assert recsys(night, work, "nightly", "--date", "2026-10-30") == 0
    assert erase(night, work, "user", "--check") == 0
    assert erase(night, work, "item", "--check") == 0
    assert audit.verify(work / "releases")["users"] == TINY.users - 1
    facts = artefacts.current(work / "interactions", "interactions")[1]
    assert facts["filtered"]["erased"] > 0


def test_again_is_the_same_and_touches_nothing(night: Path, work: Path) -> None:
    assert erase(night, work, "item") == 0
    before = contents(work)
    times = {path: path.stat().st_mtime_ns for path in work.rglob("*.parquet")}
    assert erase(night, work, "item") == 0
    assert contents(work) == before
    assert times == {path: path.stat().st_mtime_ns for path in work.rglob("*.parquet")}


def test_a_dry_run_changes_nothing(night: Path, work: Path) -> None:
    before = contents(work)
    assert erase(night, work, "user", "--dry-run") == 0
    assert contents(work) == before


def test_records_journals_databases_and_litter(night: Path, work: Path) -> None:
    record = work / "runs" / "20261101T000000-abc" / "run.json"
    record.parent.mkdir()
    durable.write_json(record, {"status": "failed", "error": f"refused: '{USER},i1,2026'"})
    page = next((work / "releases").glob("2026*")) / "report.html"
    shutil.copyfile(page, record.parent / "report.html")  # of a refused night
    (work / "tuned.toml").write_text(f"# tried for {USER}\n")
    journal = work / "embeddings" / "text" / ".journal-x"
    journal.mkdir()
    pl.DataFrame({"user_id": [USER, "u1"]}).write_parquet(journal / "0.parquet")
    litter = work / "releases" / f"{durable.TEMPORARY}killed"
    shutil.copytree(page.parent, litter)
    aside = work / "tmpkilled" / "a-release"
    shutil.copytree(page.parent, aside)
    with closing(sqlite3.connect(work / "mlflow.db")) as connection, connection:
        connection.execute("create table params (key text, value text)")
        connection.execute("insert into params values ('note', ?)", [f"about {USER}"])
    assert erase(night, work, "user") == 0
    assert named(work, USER) == []
    assert not litter.exists()
    assert json.loads(record.read_text())["error"] == "refused: '[erased],i1,2026'"
    assert "Example lists" not in (record.parent / "report.html").read_text()
    assert pl.read_parquet(journal / "0.parquet")["user_id"].to_list() == ["u1"]
    artefacts.read(aside, release.KIND)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["erase", "nobody"], 3, "no user of this id is known here"),
        (["erase", USER, "--item"], 3, "no item of this id is known here"),
        (["erase", " "], 2, "there is no id"),
        (["erase", ITEM, "--item", f'nightly.blocked=["{ITEM}"]'], 2, "the settings name this"),
        (["erase", USER, "--check"], 3, "files still hold the id"),
    ],
)
def test_what_cannot_be_erased_is_said_and_changes_nothing(
    night: Path, work: Path, words: list[str], code: int, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = contents(work)
    assert recsys(night, work, *words) == code
    assert said in capsys.readouterr().err
    assert contents(work) == before


def test_the_lock_is_honoured(night: Path, work: Path) -> None:
    with durable.exclusive(work):
        assert erase(night, work, "user") == 5
    assert erase(night, work, "user", "--check") == 3


def test_a_damaged_artefact_is_named_and_the_others_are_done(
    night: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = work / "releases" / "CURRENT"
    damaged = work / "releases" / folder.read_text().strip()
    (damaged / "report.html").write_text("torn")
    assert erase(night, work, "user") == 3
    assert damaged.name in capsys.readouterr().err
    assert all(str(damaged.relative_to(work)) in name for name in named(work, USER))
    shutil.rmtree(damaged)
    assert erase(night, work, "user") == 0
    assert named(work, USER) == []


class Killed(BaseException):
    """As a kill -9: nothing else of the run reaches the disk."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Ends the run at the `number`-th thing that it makes durable or renames."""
    seen = 0

    def counted(real):  # type: ignore[no-untyped-def]
        def call(*arguments, **named):  # type: ignore[no-untyped-def]
            nonlocal seen
            seen += 1
            if seen >= number:
                raise Killed
            return real(*arguments, **named)

        return call

    for name in ("_exchange", "point"):
        monkeypatch.setattr(artefacts, name, counted(getattr(artefacts, name)))
    for name in ("sync_folder", "replace_text", "write_json"):
        monkeypatch.setattr(durable, name, counted(getattr(durable, name)))
    real = shutil.rmtree

    def leaves(path, **named):  # type: ignore[no-untyped-def]
        if seen < number:
            real(path, **named)

    monkeypatch.setattr(shutil, "rmtree", leaves)


@pytest.mark.parametrize(("kind", "stride"), [("user", 6), ("item", 14)])
def test_killed_at_any_step_it_completes(
    night: Path, tmp_path: Path, kind: str, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(night / "work", whole)
    assert erase(night, whole, kind) == 0
    wanted, steps = contents(whole), random.Random(5)
    number, killed = 3, 0
    while True:
        work = tmp_path / f"work-{number}"
        shutil.copytree(night / "work", work)
        with monkeypatch.context() as patched:
            kill_at(patched, number)
            code = erase(night, work, kind)
        if code == 0:
            break
        killed += 1
        litter = [path for path in work.rglob(f"{durable.TEMPORARY}*") if path.is_dir()]
        for path in litter:
            shutil.rmtree(path)
        contents(work)  # every artefact is whole
        assert recsys(night, work, "verify") == 0
        assert erase(night, work, kind) == 0
        assert contents(work) == wanted
        assert named(work, WORDS[kind][0]) == []
        shutil.rmtree(work)
        number += steps.randint(2, stride)
    assert killed >= 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["user", "item"])
def test_kill_nine_at_random_moments(night: Path, tmp_path: Path, kind: str) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(night / "work", whole)
    assert erase(night, whole, kind) == 0
    wanted = contents(whole)
    code = (
        "import os, sys\n"
        "real, left = os.fsync, int(sys.argv.pop(1))\n"
        "def fsync(descriptor):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if not left: os.kill(os.getpid(), 9)\n"
        "    real(descriptor)\n"
        "os.fsync = fsync\n"
        "from pipelines import cli\n"
        "cli.main()\n"
    )
    number, ended = 3, 0
    while ended != 1:
        work = tmp_path / f"work-{number}"
        shutil.copytree(night / "work", work)
        words = ["erase", *WORDS[kind], *settings(night, work)]
        ended += subprocess.run(
            [sys.executable, "-c", code, str(number), *words],
            check=False, capture_output=True, cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).returncode != -signal.SIGKILL  # fmt: skip
        assert erase(night, work, kind) == 0
        assert contents(work) == wanted
        assert named(work, WORDS[kind][0]) == []
        shutil.rmtree(work)
        number += 7

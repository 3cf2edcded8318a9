"""Ids, names and secrets that somebody means ill with, through the commands (docs/security.md)."""

import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from pipelines import cli, nightly
from recsys import artefacts
from recsys.serving import release
from tests.pipelines.conftest import ODD_ITEM, ODD_USER
from tests.pipelines.test_explorer import Site, ask

CANARY = "s3cr3t-canary"


def told(command: list[str], site: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    settings = site[0].settings
    chosen = [f"work={settings.work}", f"data.folder={settings.data.folder}", "model.width=16",
              "features.video.encoder=none", "tracking.enabled=false"]  # fmt: skip
    assert cli.invoke([*command, "--json", *chosen]) == 0
    return json.loads(capsys.readouterr().out)


def test_s19_odd_ids_are_only_ids(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lists = site[0].lists.frame
    assert ODD_USER in lists["user_id"].to_list()
    assert ODD_ITEM in site[0].found.items["item_id"].to_list()
    assert ODD_USER in json.dumps(told(["show-user", ODD_USER], site, capsys))
    assert told(["why-not", ODD_USER, ODD_ITEM], site, capsys)
    assert told(["similar", ODD_ITEM], site, capsys)
    for path in (f"/user?id={quote(ODD_USER)}", f"/item?id={quote(ODD_ITEM)}"):
        status, text, _ = ask(site, path)
        assert status == 200
        hrefs = re.findall(r'(?:href|src)="([^"]*)"', text)
        assert not [href for href in hrefs if re.search(r"[\s`'<>$\[\]{}]", html.unescape(href))]
    for kind, read in (("csv", pl.read_csv), ("jsonl", pl.read_ndjson)):
        told(["export", kind, "--to", str(tmp_path / kind)], site, capsys)
        users = read(tmp_path / kind)["user_id"].to_list()
        assert users.count(ODD_USER) + users.count(f"'{ODD_USER}") == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "jsonl"]
    assert not list(Path(site[0].settings.work).rglob("pwned"))


@pytest.mark.parametrize("name", ["../..", "/etc", "..", ".", "%2e%2e/x", "\0", "~", "v" * 1000])
def test_s3_no_release_lies_outside(site: Site, name: str) -> None:
    status, text, _ = ask(site, f"/compare?one={quote(name)}&other={quote(name)}")
    assert status == 400
    assert "no such release" in text
    work = f"work={site[0].settings.work}"
    assert cli.invoke(["rollback", "--to", name, work]) == 3
    assert cli.invoke(["diff", name, name, work]) == 3


def test_s15_a_release_holds_no_user_vectors(site: Site) -> None:
    folder = site[0].settings.root / "releases" / site[0].name
    kinds = {
        kind for path in folder.rglob("*.parquet") for kind in pl.read_parquet_schema(path).values()
    }
    assert not [kind for kind in kinds if kind.is_nested()]
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {
        ".parquet", ".json", ".html",
    }  # fmt: skip


def test_s8_secrets_are_written_nowhere(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [
        f"work={tmp_path}", f"data.folder={site[0].settings.data.folder}", "train.epochs=1",
        f"tracking.uri=http://me:{CANARY}@127.0.0.1:9", "model.width=16",
        "features.video.encoder=none", "split.validation_days=2", "split.test_days=2",
    ]  # fmt: skip
    assert cli.invoke(["ingest", *chosen]) == 0
    assert cli.invoke(["train", *chosen]) == 0
    assert cli.invoke(["nightly", "--date", "2020-01-01", *chosen]) != 0
    assert cli.invoke(["ingest", *chosen, f"tracking.uri=ftp://me:{CANARY}@x"]) == 2
    assert CANARY not in "".join(capsys.readouterr())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 3
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize("inside", [".", "work", "interactions", "media/../work"])
def test_r04_nothing_is_made_inside_the_dataset(tmp_path: Path, inside: str) -> None:
    (tmp_path / "items.jsonl").touch()
    chosen = [f"data.folder={tmp_path}", f"work={tmp_path}/{inside}"]
    assert cli.invoke(["ingest", *chosen]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]


def test_s17_pruning_removes_releases_and_nothing_else(tmp_path: Path) -> None:
    root, outside = tmp_path / "releases", tmp_path / "outside"
    for place, names in ((outside, ["precious"]), (root, ["2026-01-01", "2026-01-02"])):
        for name in names:
            with artefacts.publishing(place, name, release.KIND):
                pass
    (root / "2025-01-01").symlink_to(outside / "precious")
    (root / "notes").mkdir()
    nightly._prune(root, keep=1)
    assert sorted(path.name for path in root.iterdir()) == [
        "2025-01-01", "2026-01-02", "CURRENT", "notes",
    ]  # fmt: skip
    assert artefacts.versions(outside) == ["precious"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (BrokenPipeError(), 0),
     (MemoryError(), 7), (OSError(28, "No space left on device"), 7)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_r09_r10_however_it_ends_there_is_no_traceback(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def ends(*_: object) -> None:
        raise error

    monkeypatch.setattr("pipelines.steer.status", ends)
    assert cli.invoke(["status"]) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nightly", "nightly.k=-1"], 2),  # R03
        (["nightly", "nightly.k=1000000000"], 2),
        (["nightly", "nightly.k=abc"], 2),
        (["similar", "i1", "-k", "0"], 2),
        (["nightly", "work=/proc/nowhere"], 7),  # R05
        (["nightly", "work=/etc/hostname"], 7),
        (["nightly", "work=/etc/hostname/below"], 7),
        (["nightly", "engine.threads=-1"], 2),  # R08
        (["nightly", "engine.threads=10000"], 2),
        (["rollback"], 2),  # R11: what must be given is not
    ],
)
def test_rows_of_the_command_line(
    arguments: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke([*arguments, f"data.folder={tmp_path}"]) == code
    assert "Traceback" not in capsys.readouterr().err

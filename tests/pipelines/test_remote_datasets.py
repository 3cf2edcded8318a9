"""A dataset behind an address, through the commands: the same nights as from a folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import polars as pl
import pytest

from pipelines import cli
from pipelines.settings import Settings
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.remote import Store
from recsys.settings import load

TINY = ShopSettings(
    items=80, users=50, days=14, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
USER, CANARY = "u00011", "s3cr3t-canary"
DAY = ["--date", "2026-10-30"]
QUICK = [
    "tracking.enabled=false", "split.validation_days=2", "split.test_days=2", "train.epochs=1",
    "model.width=16", "evaluation.draws=100", "evaluation.ks=[5]", "nightly.k=5",
    "features.video.encoder=none", "lists.candidates.count=20", "nightly.valid_hours=1000000",
    *(f"gates.rules.{name}.on=false" for name in ("gains_on_popular", "coverage", "same_list",
                                                  "one_item_in_lists", "few_users")),
]  # fmt: skip


class Shop:
    """A shop in a folder and the same in the memory's store; a work folder of each."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, f"memory://{root.name}/dataset"
        self.files, self.base = fsspec.url_to_fs(self.address)
        write_shop(TINY, root / "shop")
        self.upload()

    def upload(self) -> None:
        for path in (self.root / "shop").rglob("*"):
            if path.is_file():
                name = path.relative_to(self.root / "shop").as_posix()
                self.files.pipe_file(f"{self.base}/{name}", path.read_bytes())

    def recsys(self, *words: str, work: str = "remote", data: str = "") -> int:
        folder = data or self.address
        return cli.invoke([*words, f"work={self.root / work}", f"data.folder={folder}", *QUICK])

    def live(self, work: str = "remote") -> tuple[str, str]:
        folder, facts = artefacts.current(self.root / work / "releases", "release")
        return folder.name, facts["content"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("remote"))
    assert shop.recsys("nightly", *DAY) == 0
    yield shop
    shop.files.store.clear()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store cannot be reached."""

    def refuses(*_: object, **__: object) -> None:
        raise ConnectionError("Could not connect to the endpoint URL")

    for name in ("find", "info", "get_file", "put_file"):
        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem." + name, refuses)


def test_the_release_has_the_bytes_of_a_local_copys(shop: Shop) -> None:
    assert shop.recsys("nightly", *DAY, work="local", data=f"{shop.root}/shop") == 0
    assert shop.live("remote") == shop.live("local")  # name, and the hash over all files


def test_only_what_is_new_travels(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.files.pipe_file(f"{shop.base}/notes.txt", b"x")
    assert shop.recsys("ingest") == 0
    said = capsys.readouterr().err
    objects = len(shop.files.find(shop.base))
    assert f"1 of {objects:,} objects are new or have changed" in said
    run = sorted((shop.root / "remote" / "runs").glob("*/run.json"))[-1]
    record = json.loads(run.read_text())
    assert record["mirror"] == {"objects": objects, "brought": 1, "bytes": 1, "gone": 0}
    assert record["settings"]["data"]["folder"] == shop.address


def test_what_is_made_already_is_read_without_the_store(shop: Shop, away: None) -> None:
    for words in (["status"], ["show-user", USER], ["verify"], ["evaluate"], ["encode"],
                  ["settings"], ["similar", "i00003"]):  # fmt: skip
        assert shop.recsys(*words) == 0, words


def test_without_the_store_the_old_release_stays(
    shop: Shop, away: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shop.live()
    assert shop.recsys("nightly", *DAY) == 7
    assert shop.recsys("check") == 7
    said = capsys.readouterr().err
    assert "the store cannot be reached, or refuses: ConnectionError" in said
    assert f"where: {shop.address}" in said
    assert "Traceback" not in said
    assert shop.live() == before
    assert shop.recsys("export", "csv", "--to", f"memory://{tmp_path.name}/lists.csv") == 7


def test_nothing_there_is_bad_input(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.recsys("ingest", work="other", data="memory://nowhere/at-all") == 3
    assert "there is no such bucket, or nothing in it" in capsys.readouterr().err


def test_the_producers_manifest_counts(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"files": {"users.csv": {"bytes": 1}}}
    shop.files.pipe_file(f"{shop.base}/manifest.json", json.dumps(told).encode())
    assert shop.recsys("ingest") == 3
    assert "differs from the producer's manifest" in capsys.readouterr().err
    shop.files.rm_file(f"{shop.base}/manifest.json")
    assert shop.recsys("ingest") == 0


def test_s8_credentials_in_an_address_go_nowhere(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = f"s3://KEY:a/{CANARY}@bucket/x"
    work = f"work={tmp_path}/work"
    assert cli.invoke(["nightly", work, f"data.folder={secret}"]) == 2
    assert cli.invoke(["ingest", work, f"data.folder=az://c/x?sig={CANARY}"]) == 2
    assert cli.invoke(["ingest", work, f"data={secret}"]) == 2
    assert cli.invoke(["ingest", f"work={secret}"]) == 2
    assert shop.recsys("export", "jsonl", "--to", secret) == 2
    (tmp_path / "my.toml").write_text(f'[data]\nfolder = "{secret}"\n')
    assert cli.invoke(["status", "-c", str(tmp_path / "my.toml")]) == 2
    assert CANARY not in "".join(capsys.readouterr())
    assert not (tmp_path / "work").exists()


def test_the_work_folder_is_on_a_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["nightly", "work=s3://bucket/work"]) == 2
    assert "a path on a disk is needed here, not an address (s3://)" in capsys.readouterr().err


def test_r04_nothing_is_made_inside_a_store_of_files(shop: Shop) -> None:
    assert shop.recsys("ingest", work="shop/work", data=f"file://{shop.root}/shop") == 2


@pytest.mark.parametrize(("kind", "read"), [("csv", pl.read_csv), ("jsonl", pl.read_ndjson)])
def test_lists_become_an_object(shop: Shop, kind: str, read: object, tmp_path: Path) -> None:
    address, before = f"memory://{tmp_path.name}/new/lists.{kind}", {*shop.root.rglob("*")}
    assert shop.recsys("export", kind, "--to", address) == 0
    assert shop.recsys("export", kind, "--to", str(tmp_path / "lists")) == 0
    with fsspec.open(address, "rb") as stream:
        assert stream.read() == (tmp_path / "lists").read_bytes()
    assert {*shop.root.rglob("*")} == before


def test_an_export_that_fails_leaves_the_old_object(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"memory://{tmp_path.name}/lists.csv"
    with fsspec.open(address, "wb") as stream:
        stream.write(b"old")
    monkeypatch.setattr("recsys.serving.exports.files.pl.DataFrame.write_csv", disk_full)
    assert shop.recsys("export", "csv", "--to", address) == 7
    with fsspec.open(address, "rb") as stream:
        assert stream.read() == b"old"
    assert shop.recsys("export", "csv", "--to", f"memory://{tmp_path.name}/") == 2
    assert "name a file in it" in capsys.readouterr().err


def disk_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_settings_file_may_begin_with_an_address(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    assert cli.invoke(["init", str(path), "--data", "s3://shop-logs/dataset"]) == 0
    settings = load(Settings, path)
    assert settings.data.address == "s3://shop-logs/dataset"
    assert settings.data.folder == "work/mirror/dataset"
    assert Settings.model_validate(settings.model_dump()) == settings


def test_whoever_is_erased_is_told_of_until_the_objects_are_mended(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shop.root / "remote", shop.root / "erased")
    work = shop.root / "erased"
    mirrored = work / "mirror" / "dataset"
    assert shop.recsys("erase", USER, "--dry-run", work="erased") == 0
    assert (mirrored / "users.csv").exists()
    capsys.readouterr()
    assert shop.recsys("erase", USER, work="erased") == 0
    told = capsys.readouterr().out
    assert f"still in {shop.address}/interactions.csv" in told
    assert f"objects at {shop.address} are yours" in told
    holds = [path for path in work.rglob("*") if path.is_file() and USER in read_text(path)]
    assert holds == []  # the copies of the objects, too
    assert shop.recsys("erase", USER, "--check", work="erased") == 0
    # the objects still hold the person: nights say so, and drop the rows
    for _ in range(2):
        capsys.readouterr()
        assert shop.recsys("nightly", *DAY, work="erased") == 0
        said = capsys.readouterr().err
        for name in ("interactions.csv", "users.csv"):
            assert (
                f"the dataset still holds them, and they are yours to delete there: '{name}'"
                in said
            )
    assert shop.recsys("show-user", USER, work="erased") == 3
    capsys.readouterr()
    assert shop.recsys("erase", USER, "--check", work="erased") == 3
    assert "copies of 2 objects hold the id" in capsys.readouterr().err
    # mended in the store, nobody is spoken of any more
    for name in ("interactions.csv", "users.csv"):
        lines = shop.files.cat_file(f"{shop.base}/{name}").decode().splitlines(keepends=True)
        kept = "".join(line for line in lines if USER not in line)
        shop.files.pipe_file(f"{shop.base}/{name}", kept.encode())
    assert shop.recsys("nightly", *DAY, work="erased") == 0
    assert "yours to delete" not in capsys.readouterr().err
    assert shop.recsys("erase", USER, "--check", work="erased") == 0
    shop.upload()


def read_text(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pl.read_parquet(path, hive_partitioning=False).to_dicts())
    return path.read_text(errors="replace")


def test_an_object_that_is_still_being_written_stops_the_night(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, get = shop.live(), Store.get

    def grows(store: Store, name: str, path: Path) -> None:
        get(store, name, path)
        if name == "late.txt":
            shop.files.pipe_file(f"{shop.base}/{name}", b"longer than it was")

    shop.files.pipe_file(f"{shop.base}/late.txt", b"short")
    monkeypatch.setattr(Store, "get", grows)
    assert shop.recsys("nightly", *DAY) == 3
    assert "wait until it has been uploaded" in capsys.readouterr().err
    assert shop.live() == before
    monkeypatch.undo()
    assert shop.recsys("nightly", *DAY) == 0

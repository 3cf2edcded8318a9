"""The index of a night is kept: opened by who looks, made again where it is damaged, erased."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli, indexes
from recsys import artefacts
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.serving import index_parts, release

TINY = ShopSettings(
    items=100, users=50, days=14, events=1500, photo_side=16, no_clip=1, no_photo=1, broken=0
)
DATE = ["--date", "2026-10-29"]


def words(root: Path) -> list[str]:
    return [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=1", "model.width=16",
        "evaluation.draws=100", "evaluation.ks=[5]", "nightly.k=5", "nightly.similar=2",
        "lists.candidates.count=20", "lists.index.kind=ivf", "lists.index.lists=2",
        "features.video.encoder=none",
        *(f"gates.rules.{name}.on=false" for name in ("same_list", "one_item_in_lists")),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop and a night of it."""
    root = tmp_path_factory.mktemp("indexes")
    write_shop(TINY, root / "shop")
    assert cli.invoke(["nightly", *DATE, *words(root)]) == 0
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kind of every index that is built from here on."""
    made: list[str] = []
    build = index_parts.build

    def counting(vectors: Any, settings: Any, *given: Any) -> index_parts.Parts:
        made.append(settings.kind)
        return build(vectors, settings, *given)

    monkeypatch.setattr(index_parts, "build", counting)
    return made


def files(root: Path) -> dict[str, str]:
    """Hashes of the live release's lists."""
    found = artefacts.current(root / "work" / "releases", release.KIND)[1]["files"]
    return {name: entry["sha256"] for name, entry in found.items() if name.endswith("parquet")}


def why_not(root: Path) -> list[str]:
    """A question about a listed user and an item that is not on the list."""
    folder, _ = artefacts.current(root / "work" / "releases", release.KIND)
    lists = release.read_lists(folder).filter(source=release.MODEL)
    user = lists["user_id"][0]
    others = sorted(set(lists["item_id"]) - set(lists.filter(user_id=user)["item_id"]))
    return ["why-not", user, others[0], *words(root)]


def kept(root: Path) -> list[str]:
    return artefacts.versions(root / "work" / indexes.ROOT)


def test_who_looks_and_who_makes_the_night_again_opens_it(root: Path, built: list[str]) -> None:
    before, names = files(root), kept(root)
    assert len(names) == 1
    assert names[0].startswith("2026-10-29-")
    assert cli.invoke(why_not(root)) == 0
    assert cli.invoke(["nightly", "--anew", *DATE, *words(root)]) == 0
    assert built == []
    assert files(root) == before
    assert kept(root) == names


@pytest.mark.parametrize("file", ["part-000.faiss", "rows.npy", "index.json", "manifest.json"])
def test_a_damaged_one_is_made_again_to_the_same_lists(
    root: Path, built: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, (name,) = files(root), kept(root)
    folder = root / "work" / indexes.ROOT / name
    path, content = folder / file, artefacts.read(folder, indexes.KIND)["content"]
    path.write_bytes(path.read_bytes()[:-10] + b"0123456789")
    assert cli.invoke(why_not(root)) == 0
    assert "is made again" in capsys.readouterr().err
    assert path.read_bytes().endswith(b"0123456789")  # who only looks mends nothing
    assert cli.invoke(["nightly", "--anew", *DATE, *words(root)]) == 0
    assert built == ["ivf", "ivf"]
    assert files(root) == before
    assert artefacts.read(folder, indexes.KIND)["content"] == content


def test_who_only_looks_keeps_nothing(root: Path, built: list[str]) -> None:
    asked = why_not(root)
    shutil.rmtree(root / "work" / indexes.ROOT)
    assert cli.invoke(asked) == 0
    assert built == ["ivf"]
    assert kept(root) == []


def test_other_settings_and_other_candidates_are_another_index(root: Path) -> None:
    listed = why_not(root)[2]
    changed = ("lists.index.probes=1", "lists.candidates.count=21", f'nightly.blocked=["{listed}"]')
    for more in changed:
        before = kept(root)
        assert cli.invoke(["nightly", *DATE, *words(root), more]) == 0
        assert len(kept(root)) == len(before) + 1


def test_as_many_are_kept_as_nights(root: Path) -> None:
    assert cli.invoke(["nightly", *words(root), "nightly.keep=1"]) == 0
    assert [name[:10] for name in kept(root)] == ["2026-10-30"]


def test_where_exact_search_was_chosen_only_that_is_kept(root: Path, built: list[str]) -> None:
    auto = ["nightly", *DATE, *words(root), "lists.index.kind=auto"]
    assert cli.invoke(auto) == 0
    (name,) = [
        name
        for name in kept(root)
        if artefacts.read(root / "work" / indexes.ROOT / name, indexes.KIND)["chosen"] == "exact"
    ]
    folder = root / "work" / indexes.ROOT / name
    assert [path.name for path in folder.iterdir()] == [artefacts.MANIFEST]
    before = files(root)
    assert cli.invoke([*auto, "--anew"]) == 0
    assert files(root) == before
    assert built == []


def test_an_erased_item_leaves_no_vector(root: Path) -> None:
    assert cli.invoke(["erase", "u00011", *words(root)]) == 0
    assert len(kept(root)) == 1  # it knows nothing of users
    assert cli.invoke(["erase", "i00023", "--item", "--dry-run", *words(root)]) == 0
    assert len(kept(root)) == 1
    assert cli.invoke(["erase", "i00023", "--item", *words(root)]) == 0
    assert not (root / "work" / indexes.ROOT).exists()
    assert cli.invoke(["nightly", *DATE, *words(root)]) == 0
    (name,) = kept(root)
    described = json.loads((root / "work" / indexes.ROOT / name / "index.json").read_text())
    assert described["items"] < 100

"""Every command that README and docs show is run as it stands, in a folder laid out as they say."""

import shlex
import shutil
from pathlib import Path

import pytest

from pipelines import cli, demo
from recsys.data.synthetic import ShopSettings
from tests.pipelines.test_docs import commands
from tests.pipelines.test_importing import ONE_M
from tests.pipelines.test_own_tables import ITEMS, LOG, MAPPING

TINY = ShopSettings(
    items=120, users=60, days=14, events=1200, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
QUICK = [
    "tracking.enabled=false", "split.validation_days=2", "split.test_days=2", "train.epochs=1",
    "model.width=16", "evaluation.draws=100", "evaluation.ks=[5, 10]", "nightly.k=5",
    "nightly.valid_hours=1000000", "features.video.frames=4", "lists.candidates.count=20",
]  # fmt: skip
ELSEWHERE = {
    "recsys explore": "tests/pipelines/test_explorer.py serves",
    "recsys export jsonl --to s3:": "tests/pipelines/test_remote_datasets.py exports to memory://",
    "recsys export redis": "tests/serving/test_exports.py starts Redis",
    "recsys export postgres": "tests/serving/test_exports.py starts PostgreSQL",
    "recsys pretrain -c configs/sample.toml": "tests/pipelines/test_commands.py",
    "recsys pretrain --config my.toml pretrain.trainable": "tests/pipelines/test_tuned.py",
    "recsys encode --config my.toml engine.kind=ray": "tests/pipelines/test_ray_stages.py",
    "recsys nightly --config my.toml engine.kind=ray": "tests/pipelines/test_ray_stages.py",
    "recsys nightly -c my.toml gates.": "tests/pipelines/test_gated_nights.py",
    "recsys nightly -c my.toml nightly.": "tests/pipelines/test_incremental_nights.py",
}
DONE = "recsys demo work/demo"  # first of all: the others look at what it makes
HERE = sorted(set(commands()) - {DONE})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `recsys demo work/demo` ran, and in which the named files lie."""
    here = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(demo, "ShopSettings", lambda: TINY)
        assert cli.invoke([*shlex.split(DONE)[1:], *QUICK]) == 0
    chosen = ['work="work/demo"', 'data.folder="work/demo/shop"', *QUICK]
    for name in (
        "my.toml",
        "configs/sample.toml",
        "data/ml-1m/settings.toml",
        "data/my-shop/settings.toml",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("\n".join(chosen))
    (here / "my-export").mkdir()
    (here / "my-export/Bestellungen.csv").write_text(LOG)
    (here / "my-export/Artikel.csv").write_text(ITEMS)
    (here / "mapping.toml").write_text(MAPPING)
    photo = next((here / "work/demo/shop/media/photos").glob("*.jpg"))
    shutil.copyfile(photo, here / "photo.jpg")
    return here


@pytest.mark.parametrize("line", HERE)
def test_it_runs(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = next((why for start, why in ELSEWHERE.items() if line.startswith(start)), "")
    if where:
        pytest.skip(where)
    words = shlex.split(line)[1:]
    monkeypatch.chdir(tmp_path if words[0] in ("init", "import") else folder)
    if words[0] == "import":
        shutil.copytree(folder / "my-export", "export")
        shutil.copyfile(folder / "mapping.toml", "mapping.toml")
        for name, content in ONE_M.items():
            Path("ml-1m", name).parent.mkdir(exist_ok=True)
            Path("ml-1m", name).write_bytes(content)
        shutil.make_archive("ml-1m", "zip", ".", "ml-1m")
    assert cli.invoke(words) == 0

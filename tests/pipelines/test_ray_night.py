"""A night on Ray has the bytes of the same night in one process."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from pipelines.cli import invoke
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

SHOP = ShopSettings(
    items=60, users=60, days=21, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_the_same_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else other work on the machine goes first
    shop, one, other = tmp_path / "shop", tmp_path / "one", tmp_path / "other"
    write_shop(SHOP, shop)
    settings = [
        f"data.folder={shop}", "tracking.enabled=false", "model.width=16", "train.epochs=1",
        "split.validation_days=3", "split.test_days=3", "evaluation.draws=100", "data.buckets=4",
    ]  # fmt: skip
    for command in ("ingest", "encode", "train", "evaluate"):
        assert invoke([command, f"work={one}", *settings]) == 0
    shutil.copytree(one, other)
    assert invoke(["nightly", f"work={one}", *settings]) == 0
    assert invoke(["nightly", f"work={other}", "engine.kind=ray", *settings]) == 0
    contents = [
        json.loads(path.read_text())["content"]
        for work in (one, other)
        for path in (work / "releases").glob("*/manifest.json")
    ]
    assert len(contents) == 2
    assert contents[0] == contents[1]

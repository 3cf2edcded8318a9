"""Ingest, encode, evaluate and nightly on two nodes have the bytes of the local run, also when
one of the nodes is killed half-way."""

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import answers, night_lists, questions
from pipelines.cli import invoke
from recsys import engine
from recsys.data import interactions
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.features import encode

SHOP = ShopSettings(
    items=60, users=60, days=21, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
STAGES = ("ingest", "encode", "train", "evaluate", "nightly")
MADE = ("interactions", "embeddings/*", "models", "evaluations", "releases")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray"),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a shop, all but the work folder."""
    shop = tmp_path_factory.mktemp("shop") / "shop"
    write_shop(SHOP, shop)
    return [
        f"data.folder={shop}", "tracking.enabled=false", "model.width=16", "train.epochs=1",
        "split.validation_days=3", "split.test_days=3", "evaluation.draws=100", "data.buckets=6",
        "features.image.batch=8",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def local(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every stage made in one process."""
    work = tmp_path_factory.mktemp("local")
    for stage in STAGES:
        assert invoke([stage, f"work={work}", *words]) == 0
    return contents(work)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one core each."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else other work on the machine goes first
    import ray
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # nodes cannot import tests
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def contents(work: Path) -> dict[str, str]:
    """Hash over the files of each artefact by its place."""
    found = {}
    for part in MADE:
        for path in work.glob(f"{part}/*/manifest.json"):
            manifest = json.loads(path.read_text())
            found[str(path.parent.relative_to(work))] = manifest["content"]
    return found


def on(cluster: Any, work: Path, words: list[str]) -> list[str]:
    """Words of a command that runs on the cluster."""
    return [f"work={work}", "engine.kind=ray", f"engine.address={cluster.address}", *words]


def test_two_nodes_make_what_one_process_makes(
    tmp_path: Path, words: list[str], local: dict[str, str], cluster: Any
) -> None:
    for stage in STAGES:
        assert invoke([stage, *on(cluster, tmp_path, words)]) == 0
    assert len(local) >= 7
    assert contents(tmp_path) == local


def watched(function: Callable[[Any], Any], begun: Path) -> Callable[[Any], Any]:
    """The same, slowly, leaving a file for every part that it has begun."""

    def seen(part: Any) -> Any:
        (begun / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.5)
        return function(part)

    return seen


def test_a_node_killed_half_way_changes_nothing(
    tmp_path: Path, words: list[str], local: dict[str, str], cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    begun = tmp_path / "begun"
    work = tmp_path / "work"
    plain, plain_stream = engine.map_buckets, engine.stream

    def slowly(function: Any, parts: Any, settings: Any) -> Any:
        return plain(watched(function, begun), parts, settings)

    def slow_stream(make: Any, parts: Any, settings: Any, *, gpu: bool) -> Any:
        return plain_stream(lambda: watched(make(), begun), parts, settings, gpu=gpu)

    for module in (interactions, answers, night_lists):
        monkeypatch.setattr(module, "map_buckets", slowly)
    monkeypatch.setattr(encode, "stream", slow_stream)
    monkeypatch.setattr(questions, "BLOCK", 10)
    monkeypatch.setattr(night_lists, "FEW_USERS", 0)  # or the night is one task
    for stage in STAGES:
        if not cluster.worker_nodes:
            cluster.add_node(num_cpus=1)
        killer = threading.Thread(target=kill, args=(cluster, begun), daemon=True)
        begun.mkdir()
        if stage != "train":  # it has nothing for a cluster to do
            killer.start()
        assert invoke([stage, *on(cluster, work, words)]) == 0, stage
        if stage != "train":
            killer.join()
            assert not cluster.worker_nodes, stage
        begun.rename(tmp_path / stage)
    assert contents(work) == local


def kill(cluster: Any, begun: Path) -> None:
    """Kills the second node as soon as both are at work."""
    while len({path.name.split("-")[0] for path in begun.glob("*")}) < 2:
        time.sleep(0.02)
    [other] = cluster.worker_nodes
    cluster.remove_node(other, allow_graceful=False)

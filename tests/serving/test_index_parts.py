"""An index in parts finds what one index finds, lies in files, and travels as arrays."""

import mmap
import pickle
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from unit_vectors import clustered as clustered_round

from recsys.serving import candidates, index, index_parts, index_tuning
from recsys.serving.index_parts import Parts
from recsys.serving.index_settings import IndexSettings

COUNT, K = 4000, 20
KINDS = [
    IndexSettings(kind="ivf", lists=40, probes=4),
    IndexSettings(kind="ivf_pq", lists=40, probes=4, refine=4),
    IndexSettings(kind="pq", refine=4),
    IndexSettings(kind="sq8"),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def clustered(count: int, seed: int) -> np.ndarray:
    return clustered_round(count, seed, centres=100, spread=0.4)


@pytest.fixture(scope="module")
def items() -> np.ndarray:
    return clustered(COUNT, 1)


@pytest.fixture(scope="module")
def users() -> np.ndarray:
    return clustered(200, 2)


def built(items: np.ndarray, kind: IndexSettings, size: int = 900, **given: Path) -> index.Index:
    chosen = kind.model_copy(update={"shard_items": size})
    return index.build(items, np.arange(len(items)) * 2, "x", chosen, **given)


def parts(made: index.Index) -> Parts:
    assert isinstance(made.found_by, Parts)
    return made.found_by


@each_kind
@pytest.mark.parametrize("filtered", [False, True])
def test_as_one_index(
    items: np.ndarray, users: np.ndarray, kind: IndexSettings, filtered: bool
) -> None:
    allowed = np.arange(2 * COUNT) % 3 > 0 if filtered else None
    one, many = built(items, kind, COUNT), built(items, kind)
    assert (len(parts(one).files), len(parts(many).files)) == (1, 5)
    whole, shared = (made.search(users, K, allowed) for made in (one, many))
    if kind.kind in {"ivf", "sq8"}:
        assert (whole[0] == shared[0]).all()
        assert (whole[1] == shared[1]).all()
    else:  # codes of many items are equally near: which of them are rescored is open
        assert (whole[0] == shared[0]).mean() > 0.97
    if allowed is not None:
        assert allowed[shared[0][shared[0] >= 0]].all()


@each_kind
def test_learned_from_a_sample_it_finds_as_much(
    items: np.ndarray, users: np.ndarray, kind: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = 2 * index_tuning.nearest(items, users, K)
    whole = index_tuning.recall(built(items, kind, COUNT), truth, users, K).mean()
    monkeypatch.setattr(index_parts, "SAMPLE", 800)
    monkeypatch.setattr(index_parts, "WHOLE", 2000)
    asked: list[int] = []
    sample = index_parts._sample
    monkeypatch.setattr(
        index_parts, "_sample", lambda *given: asked.append(len(found := sample(*given))) or found
    )
    one, many = built(items, kind, COUNT), built(items, kind)
    assert asked == [64 * 40 if kind.lists else 800] * 2
    recalls = [index_tuning.recall(made, truth, users, K).mean() for made in (one, many)]
    assert min(recalls) > whole - 0.02
    assert recalls[0] == pytest.approx(recalls[1], abs=0.002)


@each_kind
def test_the_same_items_are_the_same_parts(items: np.ndarray, kind: IndexSettings) -> None:
    one, other = (parts(built(items, kind)).files for _ in range(2))
    assert [file.tobytes() for file in one] == [file.tobytes() for file in other]


def test_a_part_may_hold_less_than_is_asked_for() -> None:
    items = clustered(210, 1)
    made = built(items, IndexSettings(kind="hnsw"), 100)
    rows, scores = made.search(items[:3], 150)
    assert (rows >= 0).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (np.sort(made.search(items[:3], 300)[0], axis=1)[:, 90:] == 2 * np.arange(210)).all()


@each_kind
def test_parts_and_vectors_lie_in_files_without_names(
    tmp_path: Path, kind: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.memory.LARGE", 1 << 10)
    items = clustered(1000, 1)
    made = built(items, kind, 500, aside=tmp_path)
    twin = candidates.exact_twin(items, made, tmp_path)
    assert twin is not None
    arrays = [*parts(made).files, twin.found_by.table]
    for array in arrays:
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, memoryview)
        assert isinstance(base.obj, mmap.mmap)
    assert list(tmp_path.iterdir()) == []
    if kind.kind in {"pq", "ivf_pq"}:  # the vectors are there once
        assert twin.found_by is parts(made).table


@each_kind
@pytest.mark.parametrize("size", [900, COUNT])
def test_processes_of_a_node_share_it(
    items: np.ndarray, users: np.ndarray, kind: IndexSettings, size: int
) -> None:
    made, buffers = built(items, kind, size), []
    within = pickle.dumps(made, 5, buffer_callback=buffers.append)
    held = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
    assert len(within) < 5000
    assert sum(array.size for array in held) >= sum(file.size for file in parts(made).files)
    shared = [memoryview(array.tobytes()) for array in held]  # read-only, as Ray's are
    again = pickle.loads(within, buffers=shared)
    for file in parts(again).files:
        assert any(np.shares_memory(file, np.frombuffer(one, np.uint8)) for one in shared)
    for one, other in zip(made.search(users, K), again.search(users, K), strict=True):
        assert (one == other).all()


def test_many_lists_of_few_codes_are_opened() -> None:
    items = np.random.default_rng(0).normal(size=(24_000, 64)).astype(np.float32)
    kind = IndexSettings(kind="ivf_pq", lists=600, probes=600)
    found = built(items, kind, 2000).search(items[:50], 1)[0]
    assert (found[:, 0] == 2 * np.arange(50)).mean() > 0.9


def test_a_gpu_fills_lists_where_faiss_has_one(
    items: np.ndarray, users: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[str] = []
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    for name in ("index_cpu_to_all_gpus", "index_gpu_to_cpu"):
        monkeypatch.setattr(
            faiss, name, lambda made, name=name: there.append(name) or made, raising=False
        )
    kind = KINDS[0].model_copy(update={"shard_items": 2000})
    made = index_parts.build(items, kind, torch.device("cuda", 0))
    assert there == ["index_cpu_to_all_gpus", "index_gpu_to_cpu"] * 3  # training, and two parts
    plain = index_parts.build(items, kind)
    assert [file.tobytes() for file in made.files] == [file.tobytes() for file in plain.files]


@pytest.mark.cuda
@pytest.mark.skipif(not faiss.get_num_gpus(), reason="needs faiss with a GPU")
def test_lists_filled_by_a_gpu_find_as_much(items: np.ndarray, users: np.ndarray) -> None:
    truth = index_tuning.nearest(items, users, K)
    found = []
    for where in ("cpu", "cuda"):
        made = built(items, KINDS[0].model_copy(update={"device": where}))
        found.append(index_tuning.recall(made, 2 * truth, users, K).mean())
    assert abs(found[0] - found[1]) < 0.02

"""Every kind of index answers as brute force does, and refuses what would answer wrongly."""

import contextlib
import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import InputFault, MismatchFault, UsageFault
from recsys.serving import index, index_files
from recsys.serving.index_settings import IndexSettings

PART = "part-000.faiss"
# IVF that looks into every list and HNSW with effort above the size must find everything
KINDS = [
    IndexSettings(kind="exact"),
    IndexSettings(kind="ivf", lists=4, probes=4),
    IndexSettings(kind="hnsw", build_effort=400, search_effort=400),
    IndexSettings(kind="pq", refine=100),
    IndexSettings(kind="ivf_pq", refine=100, lists=4, probes=4),
    IndexSettings(kind="ivf", lists=4, probes=4, shard_items=100),
    IndexSettings(kind="pq", refine=100, shard_items=100),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def vectors(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def brute_force(items: np.ndarray, rows: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    scores = queries.astype(np.float64) @ items.astype(np.float64).T
    return rows[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


def test_golden() -> None:
    # inner products of (1, 0) with (1,0), (0,1), (-1,0), (2,1): 1, 0, -1, 2; rows 10, 20, 30, 40
    items = np.array([[1, 0], [0, 1], [-1, 0], [2, 1]], np.float32)
    built = index.build(items, np.array([10, 20, 30, 40]), "x", IndexSettings())
    rows, scores = built.search(np.array([[1, 0]], np.float32), 5)
    assert rows.tolist() == [[40, 10, 20, 30, -1]]
    assert scores.tolist() == [[2, 1, 0, -1, -np.inf]]


@each_kind
def test_as_brute_force(kind: IndexSettings) -> None:
    items, queries = vectors(200), vectors(30, seed=1)
    rows = np.arange(200) * 3
    found, scores = index.build(items, rows, "x", kind).search(queries, 10)
    assert (found == brute_force(items, rows, queries, 10)).all()
    np.testing.assert_allclose(
        scores, np.take_along_axis(queries @ items.T, found // 3, 1), rtol=1e-5
    )


@each_kind
def test_only_what_is_allowed(kind: IndexSettings) -> None:
    items, queries = vectors(200), vectors(30, seed=1)
    allowed = np.arange(600) % 5 > 1  # by catalogue row, not by position
    rows = np.arange(200) * 3
    found, _ = index.build(items, rows, "x", kind).search(queries, 10, allowed)
    kept = np.flatnonzero(allowed[rows])
    assert (found == brute_force(items[kept], rows[kept], queries, 10)).all()


@each_kind
def test_longer_vectors_score_higher(kind: IndexSettings) -> None:
    # an L2 index would prefer the near one; by inner product the long one wins, as in training
    items = np.concatenate([vectors(50) * 0.1, [[9, 0, 0, 0, 0, 0, 0, 0]]]).astype(np.float32)
    rows, _ = index.build(items, np.arange(51), "x", kind).search(items[-1:] * 0.1, 1)
    assert rows.tolist() == [[50]]


@each_kind
@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_items_than_asked_for(kind: IndexSettings, count: int) -> None:
    rows, scores = index.build(vectors(count), np.arange(count), "x", kind).search(vectors(2), 5)
    assert rows.shape == scores.shape == (2, 5)
    assert ((rows >= 0).sum(axis=1) == count).all()
    assert np.isneginf(scores[rows < 0]).all()


@each_kind
def test_queries_of_another_width(kind: IndexSettings) -> None:
    built = index.build(vectors(20), np.arange(20), "x", kind)
    with pytest.raises(MismatchFault, match="7 and 8"):
        built.search(vectors(1, 7), 3)


@each_kind
@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_vectors_that_would_vanish_are_refused(kind: IndexSettings, bad: float) -> None:
    items = vectors(20)
    items[[4, 7]] = bad
    with pytest.raises(InputFault, match=r"2 of 20(.|\n)*rows 104, 107"):
        index.build(items, np.arange(100, 120), "x", kind)


@each_kind
def test_queries_that_are_not_finite(kind: IndexSettings) -> None:
    built = index.build(vectors(20), np.arange(20), "x", kind)
    with pytest.raises(InputFault, match="1 of 3"):
        built.search(np.where([[1], [0], [1]], vectors(3), np.nan).astype(np.float32), 3)


@each_kind
def test_comes_back_from_disk(kind: IndexSettings, tmp_path: Path) -> None:
    built = index.build(vectors(100), np.arange(100) * 2, "words", kind)
    index_files.write(built, tmp_path, "model")
    again = index_files.read(tmp_path, "words", "model")
    mapped = index_files.read(tmp_path, "words", "model", mapped=True)
    for read in (again, mapped):
        queries = vectors(9, seed=2)
        for one, other in zip(built.search(queries, 7), read.search(queries, 7), strict=True):
            assert (one == other).all()
    assert again.settings == kind


@each_kind
def test_the_same_vectors_are_the_same_file(kind: IndexSettings, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        built = index.build(vectors(500), np.arange(500), "x", kind)
        index_files.write(built, tmp_path / name, "model")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def written(folder: Path, kind: IndexSettings = KINDS[1]) -> Path:
    built = index.build(vectors(50), np.arange(50), "words", kind)
    index_files.write(built, folder, "model")
    return folder


def test_another_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchFault, match="vocabulary"):
        index_files.read(written(tmp_path), "other words", "model")


def test_i06_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchFault, match="model instead of a newer one"):
        index_files.read(written(tmp_path), "words", "a newer one")


def test_i03_bytes_behind_the_index(tmp_path: Path) -> None:
    with (written(tmp_path) / PART).open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputFault, match="bytes instead of"):
        index_files.read(tmp_path, "words", "model")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("metric", "l2", "metric"), ("width", 9, "width"), ("vocabulary", "y", "vocabulary")],
)
def test_a_description_that_does_not_fit(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    path = written(tmp_path) / index_files.DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(MismatchFault, match=message):
        index_files.read(tmp_path, "words", "model")


def test_another_number_of_rows(tmp_path: Path) -> None:
    np.save(written(tmp_path) / "rows.npy", np.arange(49))
    with pytest.raises(MismatchFault, match="items"):
        index_files.read(tmp_path, "words", "model")


@each_kind
@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_truncated_file(tmp_path: Path, kind: IndexSettings, share: float, mapped: bool) -> None:
    built = index.build(vectors(200), np.arange(200), "words", kind)
    index_files.write(built, tmp_path, "model")
    for path in [*tmp_path.glob("*.faiss"), *tmp_path.glob("*.npy")]:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputFault, match="cannot be read"):
            index_files.read(tmp_path, "words", "model", mapped)
        path.write_bytes(content)


def test_a_truncated_file_of_which_the_description_does_not_tell(tmp_path: Path) -> None:
    path = written(tmp_path) / PART
    described = json.loads((tmp_path / index_files.DESCRIPTION).read_text())
    content = path.read_bytes()
    for size in (1, 20, 50, 400, 1000, len(content) - 8):
        path.write_bytes(content[:size])
        (tmp_path / index_files.DESCRIPTION).write_text(json.dumps({**described, "bytes": [size]}))
        with pytest.raises(InputFault, match="cannot be read"):
            index_files.read(tmp_path, "words", "model")


@each_kind
def test_a_header_that_claims_a_terabyte(tmp_path: Path, kind: IndexSettings) -> None:
    # lengths stand as 64-bit numbers before what they count: 4 centres or 50 or 200 vectors of 8
    items = vectors(200)
    index_files.write(index.build(items, np.arange(200), "words", kind), tmp_path, "model")
    refused = 0
    for path in tmp_path.glob("*.faiss"):
        content = path.read_bytes()
        for place in range(len(content) - 8):
            length = int.from_bytes(content[place : place + 8], "little")
            if length in {4 * 8 * 4, 4 * 8, 200 * 8, 200 * 8 * 4, 200 * 4}:
                claim = (1 << 38).to_bytes(8, "little")
                path.write_bytes(content[:place] + claim + content[place + 8 :])
                with contextlib.suppress(InputFault):
                    index_files.read(tmp_path, "words", "model")
                    refused -= 1
                refused += 1
    assert refused or kind.kind == "exact"


def test_ids_that_need_pickle(tmp_path: Path) -> None:
    np.save(written(tmp_path) / "rows.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputFault, match="cannot be read"):
        index_files.read(tmp_path, "words", "model")


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 10_000))
def test_exact_search_is_brute_force(count: int, k: int, seed: int) -> None:
    # small whole numbers: exact inner products, many ties; faiss chooses the last of them
    random = np.random.default_rng(seed)
    items = (random.integers(-2, 3, (count, 3)) + np.array([5, 0, 0])).astype(np.float32)
    queries = random.integers(-2, 3, (4, 3)).astype(np.float32)
    rows, scores = index.build(items, np.arange(count), "x", IndexSettings()).search(queries, k)
    found, want = min(k, count), queries @ items.T
    assert (scores[:, :found] == -np.sort(-want, axis=1)[:, :k]).all()
    assert (scores[:, :found] == np.take_along_axis(want, rows[:, :found], 1)).all()
    ties = scores[:, 1:found] == scores[:, : found - 1]
    assert (np.diff(rows[:, :found], axis=1)[ties] > 0).all()


@each_kind
def test_many_readers_of_an_index_that_nothing_changes(kind: IndexSettings) -> None:
    """P25: faiss may not be added to while it is read, so a built index has no way to be."""
    built = index.build(vectors(500), np.arange(500), "x", kind)
    blocks = [vectors(20, seed=seed) for seed in range(1, 17)]
    one_by_one = [built.search(block, 10) for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(lambda block: built.search(block, 10), blocks))
    for alone, beside in zip(one_by_one, at_once, strict=True):
        assert (alone[0] == beside[0]).all()
        assert (alone[1] == beside[1]).all()
    assert {name for name in dir(built) if not name.startswith("_")} <= {
        "search", *(field.name for field in dataclasses.fields(built))
    }  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.rows = np.arange(3)  # type: ignore[misc]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@each_kind
def test_a_gpu_that_is_not_there(kind: IndexSettings) -> None:
    chosen = kind.model_copy(update={"device": "cuda"})
    with pytest.raises(UsageFault, match=r"no CUDA(.|\n)*lists.index.device"):
        index.build(vectors(200), np.arange(200), "x", chosen)
    chosen = kind.model_copy(update={"device": "auto"})
    index.build(vectors(200), np.arange(200), "x", chosen)

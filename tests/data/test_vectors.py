"""Ready-made vectors: joined by id, refused where they cannot be trusted."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.data.vectors import item_ids, read_vectors, ready_made
from recsys.errors import InputFault
from recsys.vocabulary import Vocabulary

ITEMS = Vocabulary(["1", "2", "3"])
NAN, INFINITY = float("nan"), float("inf")


def written(folder: Path, ids: list[Any], vectors: Any, dtype: Any = None) -> Path:
    path = folder / "features/sound.parquet"
    path.parent.mkdir(exist_ok=True)
    schema = {"vector": dtype} if dtype else None
    pl.DataFrame({"item_id": ids, "vector": vectors}, schema_overrides=schema).write_parquet(path)
    return path


@pytest.mark.parametrize(
    "dtype", [pl.List(pl.Float32), pl.List(pl.Float64), pl.Array(pl.Float32, 2), pl.List(pl.Int32)]
)
def test_by_hand(tmp_path: Path, dtype: Any) -> None:
    path = written(tmp_path, [3, 9, 1], [[1, 2], [5, 5], [3, 4]], dtype)
    values, present = read_vectors(path, ITEMS)
    assert values.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert values.dtype == np.float32
    assert present.tolist() == [True, False, True]
    assert item_ids(path).to_list() == ["3", "9", "1"]


def test_an_absent_vector_is_absent(tmp_path: Path) -> None:
    values, present = read_vectors(written(tmp_path, ["1", "2"], [None, [7.0]]), ITEMS)
    assert present.tolist() == [False, True, False]
    assert values.tolist() == [[0], [7], [0]]


@pytest.mark.parametrize(
    ("ids", "vectors", "match"),
    [
        (["1", "1"], [[1.0], [2.0]], r"two vectors \(2 rows\)"),
        (["1", "2", "3"], [[1.0, 2], [1.0], [1.0, 3]], r"not all 2 wide \(1 rows\)"),
        (["1", "2"], [[1.0], [NAN]], "NaN"),
        (["1", "2"], [[1.0], [INFINITY]], "infinity"),
        (["1", "2"], [[1.0], [1e300]], "infinity"),
        (["1", "2"], [[1.0], [None]], "nothing"),
        (["1"], [[]], "no vectors|not a list of numbers"),
        (["1"], ["x"], "not a list of numbers"),
        (["1"], [["x"]], "not a list of numbers"),
        ([1.5], [[1.0]], "item_id"),
    ],
)
def test_refused(tmp_path: Path, ids: list[Any], vectors: Any, match: str) -> None:
    with pytest.raises(InputFault, match=match) as fault:
        read_vectors(written(tmp_path, ids, vectors), ITEMS)
    assert "sound.parquet" in fault.value.where


def test_the_first_bad_item_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFault) as fault:
        read_vectors(written(tmp_path, ["1", "b2", "3"], [[1.0], [NAN], [NAN]]), ITEMS)
    assert fault.value.value == "'b2', '3'"
    assert fault.value.where.endswith("row 2")


def test_which_files_there_are(tmp_path: Path) -> None:
    assert ready_made(tmp_path) == {}
    path = written(tmp_path, ["1"], [[1.0]])
    (path.parent / "notes.txt").write_text("no vectors")
    assert ready_made(tmp_path) == {"sound": path}
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputFault, match="truncated"):
        read_vectors(path, ITEMS)

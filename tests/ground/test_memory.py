"""Arrays that may leave memory: what they hold, that nothing is left of them, and a full disk."""

import errno
import mmap
import os
from pathlib import Path

import pytest

from recsys import memory
from recsys.errors import ResourceFault


def test_bytes_in_a_file_without_a_name(tmp_path: Path) -> None:
    found = memory.spilled(memory.SMALL, tmp_path, memory.SMALL)
    found[:] = 7
    assert isinstance(found.base, memoryview)
    assert isinstance(found.base.obj, mmap.mmap)
    assert found.sum() == 7 * memory.SMALL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 3])
def test_a_few_bytes_stay_in_memory(tmp_path: Path, size: int) -> None:
    assert memory.spilled(size, tmp_path, memory.SMALL).flags.owndata


def test_without_a_folder_to_write_in_all_stays_in_memory(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "gone"):
        assert memory.spilled(memory.SMALL, folder, memory.SMALL).flags.owndata


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ResourceFault, match="No space left"):
        memory.spilled(memory.SMALL, tmp_path, memory.SMALL)


@pytest.mark.parametrize("named", [False, True])
def test_what_is_written_comes_back_as_bytes(tmp_path: Path, named: bool) -> None:
    found = memory.written(lambda path: Path(path).write_bytes(b"abc"), tmp_path if named else None)
    assert found.tobytes() == b"abc"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_half_way_is_said(tmp_path: Path) -> None:
    def faiss_says(path: str) -> None:
        raise RuntimeError(f"write error in {path}: {os.strerror(errno.ENOSPC)}")

    with pytest.raises(ResourceFault, match="No space left"):
        memory.written(faiss_says, tmp_path)


def test_other_errors_stay_themselves(tmp_path: Path) -> None:
    def broken(path: str) -> None:
        raise RuntimeError("an index of no kind")

    with pytest.raises(RuntimeError, match="no kind"):
        memory.written(broken, tmp_path)

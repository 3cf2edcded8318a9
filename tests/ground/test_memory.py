"""Arrays that may leave memory: what they hold, that nothing is left of them, and a full disk."""

import errno
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from recsys import memory
from recsys.errors import ResourceFault


def test_an_array_in_a_file_without_a_name(tmp_path: Path) -> None:
    large = memory.SMALL // 8 + 1
    found = memory.spilled(large, np.int64, tmp_path)
    found[:] = np.arange(large)
    assert isinstance(found.base, memoryview)
    assert isinstance(found.base.obj, mmap.mmap)
    assert found.sum() == large * (large - 1) // 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 3])
def test_a_small_array_stays_in_memory(tmp_path: Path, size: int) -> None:
    assert memory.spilled(size, np.int16, tmp_path).flags.owndata
    assert memory.spilled(memory.SMALL, np.int16, None).flags.owndata


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ResourceFault, match="No space left"):
        memory.spilled(memory.SMALL, np.int16, tmp_path)
    with pytest.raises(ResourceFault, match="No such file"):
        memory.spilled(memory.SMALL, np.int16, tmp_path / "gone")

"""Which software and how many threads made something: the same bytes are promised for the same."""

import functools
import platform
import sys
from importlib import metadata
from typing import Any

from recsys import __version__

LIBRARIES = (
    "torch", "torchrec", "transformers", "timm", "numpy", "polars", "faiss-cpu", "mlflow", "av",
)  # fmt: skip


@functools.cache
def versions() -> dict[str, str | None]:
    """Versions of this project, Python and the libraries that lists depend on; None if absent."""
    ours = {"recsys": __version__, "python": platform.python_version()}
    return ours | {name: _installed(name) for name in LIBRARIES}


def made_with() -> dict[str, Any]:
    """`versions`, `machine` (its architecture) and the `threads` of torch, None if it is unused."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    return {"versions": versions(), "machine": platform.machine(), "threads": threads}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

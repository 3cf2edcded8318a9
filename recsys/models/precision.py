"""How float32 matrices are multiplied on a CPU. Used by training and by what runs the towers."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import torch

_lock = threading.Lock()
_inside: list[str] = []  # what the first who came in found; one for each who is inside


@contextlib.contextmanager
def quick_products(wanted: bool = True) -> Iterator[None]:
    """Inside, oneDNN multiplies float32 matrices, and may use bfloat16 for it where that is faster.

    It computes in float32 on AVX-512 (two to three times as fast as MKL on an AMD processor, where
    MKL falls back to older code) and in bfloat16, summed in float32, on AMX. Nothing changes on a
    GPU. As it was when the last thread is outside; until then it holds for all of the process.

    Args:
        wanted: false leaves everything as it is.
    """
    if not wanted:
        yield
        return
    backend: Any = torch.backends.mkldnn  # its stubs lack what is set at run time
    products = backend.matmul
    with _lock:
        _inside.append(_inside[0] if _inside else products.fp32_precision)
        products.fp32_precision = "bf16"
    try:
        yield
    finally:
        with _lock:
            before = _inside.pop()
            if not _inside:
                products.fp32_precision = before


@functools.cache
def products_are_float32() -> bool:
    """Whether oneDNN multiplies in float32 on this processor when it may do less: it is tried."""
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randn(64, 64, generator=random) for _ in range(2))
    with quick_products():
        error = (one @ other - one.double() @ other.double()).abs().max()
    return bool(error < 1e-4)

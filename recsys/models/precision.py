"""How float32 matrices are multiplied on a CPU. Used by training and by what runs the towers."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def quick_products(wanted: bool = True) -> Iterator[None]:
    """Inside, oneDNN multiplies float32 matrices, and may use bfloat16 for it where that is faster.

    It computes in float32 on AVX-512 (two to three times as fast as MKL on an AMD processor, where
    MKL falls back to older code) and in bfloat16, summed in float32, on AMX. Nothing changes on a
    GPU. As it was afterwards.

    Args:
        wanted: false leaves everything as it is.
    """
    if not wanted:
        yield
        return
    backend: Any = torch.backends.mkldnn  # its stubs lack what is set at run time
    products = backend.matmul
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before

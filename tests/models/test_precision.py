"""oneDNN's products: as before outside, and float32's numbers where nothing shorter is built in."""

import torch

from recsys.models.precision import quick_products


def test_it_is_as_before_afterwards_and_products_are_products() -> None:
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randn(50, 64, generator=random) for _ in range(2))
    exact = one.double() @ other.double().T
    before = torch.backends.mkldnn.matmul.fp32_precision
    with quick_products():
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        # bfloat16 keeps 8 bits: 64 products of about 1 err by less than .3, float32 by 1e-5
        assert float((one @ other.T - exact).abs().max()) < 0.3
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    with quick_products(False):
        assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_what_another_thread_needs_stays() -> None:
    products = torch.backends.mkldnn.matmul
    before = products.fp32_precision
    one, other = quick_products(), quick_products()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert products.fp32_precision == "bf16"
    other.__exit__(None, None, None)
    assert products.fp32_precision == before

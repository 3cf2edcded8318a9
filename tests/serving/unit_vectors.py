"""Vectors as a trained model has them, for tests of indexes."""

import numpy as np

WIDTH = 15


def clustered(count: int, seed: int, centres: int = 200, spread: float = 0.3) -> np.ndarray:
    """`[count, WIDTH]` of length 1 round some centres, always the same ones."""
    middles = np.random.default_rng(0).normal(size=(centres, WIDTH))
    random = np.random.default_rng(seed)
    near = spread * random.normal(size=(count, WIDTH))
    found = middles[random.integers(0, centres, count)] + near
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

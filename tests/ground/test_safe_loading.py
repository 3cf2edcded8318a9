"""No loader that can run code stands anywhere in the tree (reliability.md S1)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNSAFE = re.compile(
    r"weights_only ?= ?False|\bpickle\b|joblib|allow_pickle ?= ?True|yaml\.(load|unsafe)"
    r"|trust_remote_code ?= ?True|pyfunc\.load_model|\beval\(|\bexec\(|shell ?= ?True|os\.system"
)


@pytest.mark.parametrize(
    "path",
    sorted(path for top in ("recsys", "pipelines") for path in (ROOT / top).rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_unsafe_loader(path: Path) -> None:
    found = [
        (number, line)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if UNSAFE.search(re.sub(r"model\.eval\(|\.list\.eval\(|\.eval\(\)", "", line))
    ]
    assert not found


@pytest.mark.parametrize("line", ["torch.load(f, weights_only=False)", "import pickle", "eval(x)"])
def test_the_pattern_finds_what_it_should(line: str) -> None:
    assert UNSAFE.search(line)

"""Every promise of reliability has a proof, and the proofs that are named are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "benchmarks" / "RELIABILITY.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (P\d+) [^|]+\| (.+) \|$", TABLE, flags=re.M))
SHARED = {"fsyncorder.py"}  # a tool beside the project


def proofs(text: str) -> list[tuple[str, str]]:
    """(file, function) of each proof; a bare function is of the file before it."""
    found, file = [], ""
    for name in re.findall(r"`([^`]+)`", text):
        path, _, test = name.split(" ")[0].partition("::")
        if path.endswith(".py"):
            file = path if "/" in path else f"benchmarks/{path}"
        elif path.startswith("test_"):
            test = path
        else:
            continue
        found.append((file, test))
    return found


def test_every_promise_has_a_proof_that_is_there() -> None:
    assert list(ROWS) == [f"P{number}" for number in range(1, 29)]
    for promise, text in ROWS.items():
        named = proofs(text)
        assert named, promise
        for file, test in named:
            if Path(file).name in SHARED:
                continue
            source = (ROOT / file).read_text(encoding="utf-8")
            assert not test or re.search(rf"^def {test}\(", source, flags=re.M), (promise, test)

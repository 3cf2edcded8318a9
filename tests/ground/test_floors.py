"""Reads every import, function-level ones too; refuses arrows that go up or sideways."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {
    "recsys": 0,
    "recsys.data": 1,
    "recsys.features": 1,
    "recsys.models": 1,
    "recsys.evaluation": 1,
    "recsys.training": 2,
    "recsys.serving": 2,
    "pipelines": 3,
}
# A library that may be imported only where it is named; everything else may be imported anywhere.
ONLY_IN = {
    "faiss": {"recsys/serving/index.py", "recsys/serving/index_parts.py", "pipelines/doctor.py"},
    "mlflow": {"recsys/tracking.py", "pipelines/doctor.py"},
    "ray": {"recsys/engine.py"},
    "fsspec": {"recsys/remote.py"},
    "torchrec": {"recsys/training/sharding.py", "pipelines/doctor.py"},
    "peft": {"recsys/features/tunable.py"},
    "redis": {"recsys/serving/exports/"},
    "psycopg": {"recsys/serving/exports/"},
    "typer": {"pipelines/cli.py", "pipelines/commands/"},
    "fastapi": {"pipelines/explorer/"},
    "uvicorn": {"pipelines/explore.py"},
}
TORCH_ONLY = {"polars", "pyarrow", "faiss", "mlflow", "transformers", "timm", "av", "torchrec"}


def room(module: str) -> str:
    """The room of a module: the longest known prefix."""
    parts = module.split(".")
    for size in (2, 1):
        prefix = ".".join(parts[:size])
        if prefix in FLOORS:
            return prefix
    return parts[0]


def imports(source: str, module: str) -> list[str]:
    """Absolute names of all modules that `source` imports, wherever in the file."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            stem = ".".join([*package, *([node.module] if node.module else [])])
            names += [f"{stem}.{alias.name}" for alias in node.names]
    return names


def forbidden(module: str, path: str, imported: str) -> str | None:  # noqa: PLR0911
    """Why `module` may not import `imported`; None if it may."""
    top = imported.split(".", maxsplit=1)[0]
    if top in ONLY_IN and not path.startswith(tuple(ONLY_IN[top])):
        return f"{top} is imported only in {sorted(ONLY_IN[top])}"
    if room(module) in {"recsys.models", "recsys.training"} and top in TORCH_ONLY:
        if path in ONLY_IN.get(top, ()):
            return None
        return f"models and training run where {top} is not installed"
    if top in {"tests", "notebooks"} and not path.startswith(("tests/", "notebooks/")):
        return "nothing imports the roof"
    here, there = room(module), room(imported)
    if top not in {"recsys", "pipelines"} or here == there:
        return None
    if FLOORS[there] >= FLOORS[here]:
        return f"{here} (floor {FLOORS[here]}) may not import {there} (floor {FLOORS[there]})"
    return None


def modules() -> list[Path]:
    return sorted(path for top in ("recsys", "pipelines") for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    relative = path.relative_to(ROOT)
    module = ".".join(relative.with_suffix("").parts)
    wrong = [
        (name, why)
        for name in imports(path.read_text(), module)
        if (why := forbidden(module, str(relative), name))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("recsys.data.splits", "from recsys.models import fusion"),  # sideways
        ("recsys.data.splits", "def f():\n    import recsys.serving.index"),  # up, in a function
        ("recsys.artefacts", "from recsys.data import splits"),  # up from the ground
        ("recsys.training.trainer", "from recsys.serving import index"),  # sideways on floor 2
        ("recsys.training.trainer", "import polars"),  # heavier than torch
        ("recsys.serving.release", "import faiss"),  # not its room
    ],
)
def test_wrong_arrows_are_found(module: str, source: str) -> None:
    path = module.replace(".", "/") + ".py"
    assert [name for name in imports(source, module) if forbidden(module, path, name)]

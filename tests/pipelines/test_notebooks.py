"""Every notebook runs from top to bottom, defines no logic, and is stored without outputs."""

import ast
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from pipelines import cli
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
TINY = ShopSettings(
    items=80, users=60, days=14, events=1800, no_photo=0.5, no_clip=1, broken=0, photo_side=16
)


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a tiny shop with a trained model."""
    root = tmp_path_factory.mktemp("notebooks")
    write_shop(TINY, root / "shop")
    path = root / "my.toml"
    path.write_text(
        f'work = "{root}/work"\n[data]\nfolder = "{root}/shop"\n[tracking]\nenabled = false\n'
        "[split]\nvalidation_days = 2\ntest_days = 2\n[train]\nepochs = 1\n[model]\nwidth = 16\n"
    )
    for command in ("ingest", "train"):
        assert cli.invoke([command, "--config", str(path)]) == 0
    return path


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("Agg")
    monkeypatch.chdir(path.parent)  # where Jupyter starts it
    names: dict[str, Any] = {}
    for cell in cells(path):
        code = "".join(cell["source"]).replace("configs/sample.toml", str(config))
        exec(compile(code, f"{path.name} {cell['id']}", "exec"), names)
    mpl.pyplot.close("all")
    assert Path.cwd() == path.parents[1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_neither_outputs_nor_logic(path: Path) -> None:
    for cell in cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        tree = ast.parse("".join(cell["source"]))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]

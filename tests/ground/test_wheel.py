"""What a wheel holds: code, templates, style and configs; and that it works by itself."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from recsys import __version__

ROOT = Path(__file__).parents[2]
pytest.importorskip("hatchling", reason="hatchling is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    assert path.name == f"recsys-{__version__}-py3-none-any.whl"
    return zipfile.ZipFile(path)


def test_it_holds_all_that_runs(wheel: zipfile.ZipFile) -> None:
    found = set(wheel.namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for top in ("recsys", "pipelines")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= found
    assert {f"pipelines/configs/{path.name}" for path in (ROOT / "configs").glob("*.toml")} <= found
    tops = {name.split("/")[0] for name in found}
    assert tops == {"recsys", "pipelines", f"recsys-{__version__}.dist-info"}


def test_it_works_outside_of_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pipelines;"
        "assert pipelines.__file__.startswith(sys.argv[1]);"
        "from pipelines import cli; sys.exit(cli.invoke(sys.argv[2:]))"
    )
    ask = [sys.executable, "-P", "-c", code, str(tmp_path / "site")]
    for words in (["init", "my.toml", "--like", "movielens"], ["settings", "--config", "my.toml"]):
        done = subprocess.run(
            [*ask, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert 'work = "work/movielens"' in done.stdout

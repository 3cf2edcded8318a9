"""The examples of docs/scheduling.md, as far as they can be tried where the tests run."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import cli

PAGE = Path(__file__).parents[2] / "docs" / "scheduling.md"
BLOCK = re.compile(r"<!-- try: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
BLOCKS = dict(BLOCK.findall(PAGE.read_text()))
CODES = {0, 1, 2, 3, 4, 5, 6, 7, 130, 143}


def commands(name: str) -> list[str]:
    """The words of an example's recsys command, the program left out."""
    text = BLOCKS[name]
    if name.endswith(".py"):
        lists = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.List)]
        words = [w.value for node in lists for w in node.elts if isinstance(w, ast.Constant)]
        return [str(word) for word in words if "/bin/" not in str(word) and word != "--date"]
    line = next(line for line in text.splitlines() if "/bin/recsys " in line)
    return shlex.split(line.partition("/bin/recsys ")[2].partition(" >>")[0])


def test_the_page_has_every_example() -> None:
    assert set(BLOCKS) == {
        "cron", "recsys-nightly.service", "recsys-nightly.timer", "airflow.py", "dagster.py",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["cron", "recsys-nightly.service", "airflow.py", "dagster.py"])
def test_every_example_calls_the_same_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = commands(name)
    assert words[:3] == ["nightly", "--config", "my.toml"]
    # the command knows its options: it only lacks the dataset
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text('work = "work"\n[data]\nfolder = "none"\n')
    assert cli.invoke(words) == 3
    assert "the dataset folder does not exist" in capsys.readouterr().err


def test_the_cron_line_can_be_read() -> None:
    zone, line = BLOCKS["cron"].splitlines()
    assert zone == "CRON_TZ=UTC"
    minute, hour, *rest = line.split()[:5]
    assert 0 <= int(minute) < 60
    assert 0 <= int(hour) < 24
    assert rest == ["*", "*", "*"]
    command = line.split(maxsplit=5)[5]
    assert "%" not in command  # cron would end the line there
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("name", ["airflow.py", "dagster.py"])
def test_python_examples_compile(name: str) -> None:
    compile(BLOCKS[name], name, "exec")


def test_exit_codes_of_the_examples_are_those_of_the_runbook() -> None:
    runbook = (PAGE.parent / "runbook.md").read_text()
    headings = re.findall(r"^## ([\d and]+):", runbook, re.MULTILINE)
    assert {int(code) for heading in headings for code in re.findall(r"\d+", heading)} == CODES
    prevented = re.search(r"RestartPreventExitStatus=(.*)", BLOCKS["recsys-nightly.service"])
    assert prevented
    assert {int(code) for code in prevented[1].split()} == {2, 4, 5, 6}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_knows_the_units(tmp_path: Path) -> None:
    for name in ("recsys-nightly.service", "recsys-nightly.timer"):
        text = BLOCKS[name].replace("/srv/shop/.venv/bin/recsys", sys.executable)
        text = text.replace("/srv/shop", str(tmp_path)).replace("User=recsys\n", "")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(p) for p in tmp_path.glob("recsys-*"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "recsys-nightly" in line]
    assert not ours, done.stderr
    when = re.search("OnCalendar=(.*)", BLOCKS["recsys-nightly.timer"])
    assert when
    calendar = subprocess.run(["systemd-analyze", "calendar", when[1]], check=False,
                              capture_output=True, text=True)  # fmt: skip
    assert calendar.returncode == 0, calendar.stderr

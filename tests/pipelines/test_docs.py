"""The documentation: every command in it is one of the command line's, and the site builds."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from pipelines import cli
from pipelines.settings import Settings
from recsys.settings import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("README*.md")])
MADE = {"settings.md", "commands.md", "benchmarks.md", "gpu.md", "reliability.md"}
SHOWN = re.compile(r"^(?:    |\$ )?(recsys [a-z].*?)(?:\s+#.*)?$", re.MULTILINE)


def commands() -> list[str]:
    return sorted({line for page in PAGES for line in SHOWN.findall(page.read_text("utf-8"))})


def test_there_are_commands_to_test() -> None:
    assert len(commands()) > 25


@pytest.mark.parametrize("line", commands())
def test_it_can_be_called_so(line: str) -> None:
    name, *words = shlex.split(line.removeprefix("recsys "))
    group = typer.main.get_command(cli.shared.app)
    context = group.commands[name].make_context(name, words)
    load(Settings, None, context.params.get("overrides") or [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_pictures_and_pages_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists() or target in MADE, target


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra `docs` is not installed")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    site = tmp_path / "site"
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(site), strict=True))
    outside = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="https?:')
    for page in site.rglob("*.html"):
        assert not outside.search(page.read_text("utf-8"))
    assert "<code>epochs</code>" in (site / "settings/index.html").read_text("utf-8")
    assert "recsys explore" in (site / "commands/index.html").read_text("utf-8")
    assert "Leave-one-out" in (site / "benchmarks/index.html").read_text("utf-8")
    assert "pytest -m cuda" in (site / "gpu/index.html").read_text("utf-8")

"""Pages of the site that are made elsewhere: commands and settings by the code, benchmarks/*.md."""

from pathlib import Path

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipelines import cli, reference
from pipelines.settings import Settings
from recsys.reference import sections

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds commands.md, settings.md, benchmarks.md (the README there), gpu.md and its like."""
    pages = {"commands.md": commands(), "settings.md": settings()}
    for page in BENCHMARKS.glob("*.md"):
        name = "benchmarks.md" if page.stem == "README" else f"{page.stem.lower()}.md"
        pages[name] = page.read_text("utf-8")
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def commands() -> str:
    """What `--help` says of every command."""
    group = typer.main.get_command(cli.shared.app)
    lines = ["# Commands", "", "Settings follow any command as `section.key=value`.", ""]
    for name, command in group.commands.items():
        lines += [f"## recsys {name}", "", command.help or "", "", "| | |", "| --- | --- |"]
        for parameter in command.params:
            called = ", ".join([*parameter.opts, *parameter.secondary_opts])
            if "--help" not in called and not parameter.hidden:
                lines.append(f"| `{called}` | {cell(getattr(parameter, 'help', '') or '')} |")
        lines += ["", command.epilog or "", ""]
    return "\n".join(lines)


def settings() -> str:
    """Every setting by section, with its default."""
    about = sections(Settings)
    lines = ["# Settings", "", "`recsys init my.toml` writes them all into a file.", ""]
    before = None
    for entry in reference.every():
        section, _, name = entry.key.rpartition(".")
        if section != before:
            before = section
            lines += ["", f"## {section or 'top'}", "", about.get(section, ""), ""]
            lines += ["| setting | default | may be | what it does |", "| --- | --- | --- | --- |"]
        default = f"`{cell(entry.default)}`" if entry.default else ""
        lines.append(f"| `{name}` | {default} | {cell(entry.kind)} | {cell(entry.about)} |")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that breaks no table."""
    return text.replace("|", "\\|").replace("\n", " ")

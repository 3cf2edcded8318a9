"""What the README shows runs: its Python example, and every command it names exists."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TINY = ShopSettings(
    items=60, users=40, days=14, events=900, no_photo=1, no_clip=1, broken=0, photo_side=16
)


def test_the_python_example(tmp_path: Path) -> None:
    section = README.split("## From Python", 1)[1].split("\n## ", 1)[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    assert 8 <= len(code.splitlines()) <= 14
    write_shop(TINY, tmp_path / "shop")
    config = tmp_path / "my.toml"
    config.write_text(
        f'work = "{tmp_path}/work"\n[data]\nfolder = "{tmp_path}/shop"\n[tracking]\n'
        "enabled = false\n[split]\nvalidation_days = 2\ntest_days = 2\n[train]\nepochs = 1\n"
        "[model]\nwidth = 16\n"
    )
    for command in ("ingest", "train"):
        assert cli.invoke([command, "--config", str(config)]) == 0
    names: dict[str, Any] = {}
    exec(code.replace("configs/sample.toml", str(config)), names)
    ranked = names["ranked"]
    assert ranked.rows.shape[1] == 10
    assert ranked.terms.shape == (*ranked.rows.shape, len(names["recommender"].names))
    assert (ranked.rows[:, 0] >= 0).all()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"recsys ([a-z]+(?:-[a-z]+)?)", README))))
def test_every_command_that_it_names_exists(command: str) -> None:
    assert cli.invoke([command, "--help"]) == 0

"""Commands for a beginning: `init`, `settings`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import shared
from pipelines.commands.shared import app


@app.command(epilog="Example: `recsys init my.toml --data data/my-shop`")
def init(
    path: Annotated[Path, typer.Argument(help="The settings file to write.")] = Path("recsys.toml"),
    data: Annotated[
        str, typer.Option("--data", help="The dataset folder, or its address (s3://...).")
    ] = "dataset",
    work: Annotated[Path, typer.Option("--work", help="Where all that is made goes.")] = Path(
        "work"
    ),
    like: Annotated[
        str, typer.Option("--like", help="Copy one that comes with recsys, such as movielens.")
    ] = "",
    as_json: shared.Json = False,
) -> None:
    """Writes a settings file in which every setting stands with its default and a sentence."""
    from pipelines import reference

    shared.show(as_json, reference.init(path, data, work, like))


@app.command(epilog="Example: `recsys settings --explain train.epochs --config my.toml`")
def settings(
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    explain: Annotated[
        str, typer.Option("--explain", help="A setting or section, as train.epochs or lists.")
    ] = "",
    as_json: shared.Json = False,
) -> None:
    """Shows every setting: its value, its default, what it may be and what it does."""
    from pipelines import reference

    chosen = shared.settings(config, overrides)
    shared.show(as_json, reference.explain(chosen, explain))

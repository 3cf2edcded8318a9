"""Commands that look into the live release: `show-user`, `why-not`, `explore`."""

from typing import Annotated

import typer

from pipelines.commands import shared
from pipelines.commands.shared import app


@app.command(
    "show-user", epilog="Example: `recsys show-user u17 --why --config configs/sample.toml`"
)
def show_user(
    user: Annotated[str, typer.Argument(help="User id.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    why: Annotated[
        bool,
        typer.Option(
            "--why",
            help="Also which items of the history, and what of the item, drew "
            "each row; loads the model.",
        ),
    ] = False,
    as_json: shared.Json = False,
) -> None:
    """Shows a user's history and live list, with every score term."""
    from pipelines import show_user as stage

    chosen = shared.settings(config, overrides)
    shared.show(as_json, stage.run(chosen, user, why))


@app.command("why-not", epilog="Example: `recsys why-not u17 b42 --config configs/sample.toml`")
def why_not(
    user: Annotated[str, typer.Argument(help="User id.")],
    item: Annotated[str, typer.Argument(help="Item id.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
) -> None:
    """Says what kept an item out of a user's live list: a rule, its score, or variety."""
    from pipelines import why_not as stage

    chosen = shared.settings(config, overrides)
    shared.show(as_json, stage.run(chosen, user, item))


@app.command(epilog="Example: `recsys explore --config configs/sample.toml explore.port=8001`")
def explore(config: shared.Config = None, overrides: shared.Overrides = None) -> None:
    """Serves a local web page: users, lists with reasons, items, releases, the night."""
    from pipelines import explore as stage

    stage.run(shared.settings(config, overrides))

"""Commands for nights and releases: `nightly`, `status`, `diff`, `verify`, `export` and more."""

import json
from typing import Annotated, Literal

import typer

from pipelines.commands import shared
from pipelines.commands.shared import app


@app.command(epilog="Example: `recsys nightly --config configs/sample.toml --date 2026-10-30`")
def nightly(  # noqa: PLR0913, PLR0917  (each is a flag of the command line)
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    date: shared.Date = "",
    dry_run: shared.DryRun = False,
    anew: Annotated[bool, typer.Option("--anew", help="Make every list, kept ones too.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", help="Gate whose refusal is meant tonight; repeat for more."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; the release keeps it.")] = "",
    allow_future: Annotated[
        bool, typer.Option("--allow-future", help="Also for a day that has not begun.")
    ] = False,
    as_json: shared.Json = False,
) -> None:
    """The whole night: new events, embeddings, vectors, index, lists, gates, report, publish."""
    from pipelines import nightly as stage

    words = list(overrides or [])
    words += [f"gates.accept={json.dumps(accept)}"] if accept else []
    words += [f"gates.reason={json.dumps(reason)}"] if reason else []
    words += ["nightly.allow_future=true"] if allow_future else []
    chosen = shared.settings(config, words)
    shared.stage(
        "nightly", chosen, as_json, lambda run: stage.run(chosen, run, date, dry_run, anew)
    )


@app.command(epilog="Example: `recsys status --config configs/sample.toml --json`")
def status(
    config: shared.Config = None, overrides: shared.Overrides = None, as_json: shared.Json = False
) -> None:
    """Shows the live release, its age and counts, and the last runs; exit 4 once it expired."""
    from pipelines import steer

    told = steer.status(shared.settings(config, overrides))
    shared.show(as_json, told)
    steer.require_fresh(told)


@app.command(epilog="Example: `recsys diff 2026-10-29 2026-10-30 --config configs/sample.toml`")
def diff(
    one: Annotated[str, typer.Argument(help="Name of a release, or how it begins.")],
    other: Annotated[str, typer.Argument(help="Name of another one.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
) -> None:
    """Compares two releases: users, lists, items, counts, gates, parents."""
    from pipelines import differences

    chosen = shared.settings(config, overrides)
    shared.show(as_json, differences.run(chosen, one, other))


@app.command(epilog="Example: `recsys verify --config configs/sample.toml`")
def verify(
    config: shared.Config = None, overrides: shared.Overrides = None, as_json: shared.Json = False
) -> None:
    """Checks the live release: every file against its manifest, every list against the rules."""
    from pipelines import steer

    chosen = shared.settings(config, overrides)
    shared.show(as_json, steer.verify(chosen))


@app.command(epilog="Example: `recsys rollback --to 2026-10-29-0123456789abcdef`")
def rollback(
    to: Annotated[str, typer.Option("--to", help="Name of a release, or: previous.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
) -> None:
    """Makes another, verified release the live one; `previous` is the newest other whole one."""
    from pipelines import steer

    chosen = shared.settings(config, overrides)
    shared.stage("rollback", chosen, as_json, lambda _: steer.rollback(chosen, to))


@app.command(epilog="Examples: `recsys erase u17 --config my.toml`; `recsys erase b42 --item`")
def erase(
    identifier: Annotated[str, typer.Argument(metavar="USER", help="Id of a user, or an item.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    item: Annotated[bool, typer.Option("--item", help="The id is an item's.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only search every file: exit 3 where the id stands.")
    ] = False,
    dry_run: shared.DryRun = False,
    as_json: shared.Json = False,
) -> None:
    """Removes a person (or an item) from logs, buckets, releases and quarantine; lists it all."""
    from pipelines import erase as stage

    chosen = shared.settings(config, overrides)
    kind: Literal["user", "item"] = "item" if item else "user"
    if check:
        shared.show(as_json, stage.check(chosen, kind, identifier))
        return
    shared.stage(
        "erase", chosen, as_json, lambda run: stage.run(chosen, run, kind, identifier, dry_run)
    )


@app.command(epilog="Examples: `recsys export csv --to lists.csv`; `recsys export redis`")
def export(
    target: Annotated[
        Literal["csv", "jsonl", "redis", "postgres", "onnx"],
        typer.Argument(help="csv, jsonl, redis, postgres: the lists; onnx: the user tower."),
    ],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", help="File, object (s3://...) or address; else REDIS_URL, or the PG* variables."
        ),
    ] = "",
    as_json: shared.Json = False,
) -> None:
    """Hands the live lists to what serves them: the new night appears there at once."""
    from pipelines import export as stage

    shared.show(as_json, stage.run(shared.settings(config, overrides), target, to))

"""Commands that prepare data: `demo`, `import`, `check`, `ingest`, `encode`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import shared
from pipelines.commands.shared import app


@app.command(epilog="Example: `recsys demo work/demo`")
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to work.")] = Path("work/demo"),
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
) -> None:
    """Builds the sample shop, runs every stage on it and prints where the results are."""
    from pipelines import demo as stage

    chosen = stage.demo_settings(folder, overrides or [])
    shared.stage("demo", chosen, as_json, lambda run: stage.run(chosen, run))


@app.command("import", epilog="Example: `recsys import movielens ml-1m.zip data/ml-1m`")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="movielens, amazon-reviews-2023, microlens, mmrec, h-and-m; or mapping: any CSV "
            "or Parquet, by the settings' section [mapping]."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="What was downloaded: a folder, or a .zip file.")],
    out: Annotated[Path, typer.Argument(help="The dataset folder to make.")],
    overrides: shared.Overrides = None,
    config: shared.Config = None,
    as_json: shared.Json = False,
) -> None:
    """Turns a public data set, as its authors distribute it, into a dataset folder."""
    from pipelines import importing as stage

    shared.show(as_json, stage.run(shared.settings(config, overrides), source, path, out))


@app.command(
    "fetch-images", epilog="Example: `recsys fetch-images data/beauty --host m.media-amazon.com`"
)
def fetch_images(
    dataset: Annotated[Path, typer.Argument(help="A folder that `recsys import` made.")],
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="A host that may be asked; repeat for more. No other is."),
    ] = None,
    each: Annotated[int, typer.Option("--each", min=1, help="Pictures of an item, the first.")] = 1,
    max_mb: Annotated[float, typer.Option("--max-mb", min=0.001, help="Of one picture.")] = 10.0,
    total_mb: Annotated[float, typer.Option("--total-mb", min=0.001, help="In all.")] = 10_000.0,
    as_json: shared.Json = False,
) -> None:
    """Fetches pictures that an import listed by address, from the hosts named, and no others."""
    from pipelines import fetch_images as stage

    limits = stage.Limits(each, int(max_mb * stage.MEGABYTE), int(total_mb * stage.MEGABYTE))
    shared.show(as_json, stage.run(dataset, host or [], limits))


@app.command(epilog="Example: `recsys check --config configs/sample.toml`")
def check(
    config: shared.Config = None, overrides: shared.Overrides = None, as_json: shared.Json = False
) -> None:
    """Audits logs and catalogue: what is wrong, where, how much, and what it does to training.

    Ends with 3 where a night would refuse the data.
    """
    from pipelines import check as stage

    chosen = shared.settings(config, overrides)
    stage.judge(shared.stage("check", chosen, as_json, lambda run: stage.run(chosen, run)))


@app.command(epilog="Example: `recsys ingest --config configs/sample.toml`")
def ingest(
    config: shared.Config = None, overrides: shared.Overrides = None, as_json: shared.Json = False
) -> None:
    """Turns logs into cleaned buckets, quarantine and row accounting; the catalogue likewise."""
    from pipelines import ingest as stage

    chosen = shared.settings(config, overrides)
    shared.stage("ingest", chosen, as_json, lambda run: stage.run(chosen, run))


@app.command(epilog="Example: `recsys encode --config configs/movielens.toml`")
def encode(
    config: shared.Config = None, overrides: shared.Overrides = None, as_json: shared.Json = False
) -> None:
    """Encodes what is new or changed in the catalogue into the embedding store; resumable."""
    from pipelines import encode as stage

    chosen = shared.settings(config, overrides)
    shared.stage("encode", chosen, as_json, lambda run: stage.run(chosen, run))

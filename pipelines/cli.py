"""The `recsys` command: reads settings, runs one stage, prints results, ends with an exit code."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

from pipelines import runs
from pipelines.settings import Settings
from recsys import __version__, durable, settings
from recsys.errors import Fault, escaped
from recsys.tracking import redacted

app = typer.Typer(
    name="recsys",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From interaction logs and a catalogue with text, images and video to published nightly "
    "lists.\n\nSettings: `--config FILE` and any number of `section.key=value` after the command.",
)

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML settings, such as configs/sample.toml.")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as section.key=value, such as train.epochs=3.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")]
Date = Annotated[str, typer.Option("--date", help="Day that the lists are for, YYYY-MM-DD.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything but publish.")]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="Also score with this modality hidden; repeat for more."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Also score with nothing but this modality, such as id."),
]
Ablate = Annotated[
    bool, typer.Option("--ablate", help="Hide each modality, and show each alone: what pays?")
]
Retrain = Annotated[
    bool, typer.Option("--retrain", help="Train anew for each of these instead of hiding.")
]
Stale = Annotated[
    bool, typer.Option("--stale", help="Recall of the same lists hours and days later.")
]
TradeOff = Annotated[
    bool, typer.Option("--trade-off", help="What variety costs: rules tried on validation.")
]

_current_run = ""


@app.command(epilog="Example: `recsys demo work/demo`")
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to work.")] = Path("work/demo"),
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Builds the sample shop, runs every stage on it and prints where the results are."""
    from pipelines import demo as stage

    chosen = stage.demo_settings(folder, overrides or [])
    _stage("demo", chosen, as_json, lambda run: stage.run(chosen, run))


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
    overrides: Overrides = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Turns a public data set, as its authors distribute it, into a dataset folder."""
    from pipelines import importing as stage

    _look(as_json, stage.run(_settings(config, overrides), source, path, out))


@app.command(epilog="Example: `recsys check --config configs/sample.toml`")
def check(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Audits logs and catalogue: what is wrong, where, how much, and what it does to training."""
    from pipelines import check as stage

    chosen = _settings(config, overrides)
    _stage("check", chosen, as_json, lambda run: stage.run(chosen, run))


@app.command(epilog="Example: `recsys ingest --config configs/sample.toml`")
def ingest(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Turns logs into cleaned buckets, quarantine and row accounting; the catalogue likewise."""
    from pipelines import ingest as stage

    chosen = _settings(config, overrides)
    _stage("ingest", chosen, as_json, lambda run: stage.run(chosen, run))


@app.command(epilog="Example: `recsys encode --config configs/movielens.toml`")
def encode(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Encodes what is new or changed in the catalogue into the embedding store; resumable."""
    from pipelines import encode as stage

    chosen = _settings(config, overrides)
    _stage("encode", chosen, as_json, lambda run: stage.run(chosen, run))


@app.command(epilog="Example: `recsys train --config configs/movielens.toml train.epochs=20`")
def train(
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
    resume: Resume = False,
) -> None:
    """Trains the two towers, fits the reranker on the validation window, saves the model folder."""
    from pipelines import train as stage

    chosen = _settings(config, overrides)
    _stage("train", chosen, as_json, lambda run: stage.run(chosen, run, resume=resume))


@app.command(epilog="Example: `recsys tune --config configs/movielens.toml --trials 30`")
def tune(
    config: Config = None,
    overrides: Overrides = None,
    trials: Annotated[int | None, typer.Option(help="Trials, earlier calls included.")] = None,
    hours: Annotated[float | None, typer.Option(help="Hours of them; the last one ends.")] = None,
    as_json: Json = False,
) -> None:
    """Searches better settings on the validation window; the same command again goes on."""
    from pipelines import tune as stage

    chosen, words = _settings(config, overrides), ["--config", str(config)] if config else []
    budget = stage.Budget(trials, hours)
    words += overrides or []
    _stage("tune", chosen, as_json, lambda run: stage.run(chosen, run, budget, words))


@app.command(epilog="Example: `recsys evaluate --config configs/sample.toml --ablate`")
def evaluate(  # noqa: PLR0913, PLR0917  (each is a flag of the command line)
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
    without: Without = None,
    only: Only = None,
    ablate: Ablate = False,
    retrain: Retrain = False,
    stale: Stale = False,
    trade_off: TradeOff = False,
) -> None:
    """Measures recall_at_k and more on the test window, beside baselines, with intervals."""
    from pipelines import evaluate as stage
    from pipelines.ablation import Ablation

    chosen = _settings(config, overrides)
    asked = Ablation(tuple(without or ()), tuple(only or ()), ablate, retrain)
    extras = stage.Extras(stale, trade_off)
    _stage("evaluate", chosen, as_json, lambda run: stage.run(chosen, run, asked, extras))


@app.command(epilog="Example: `recsys nightly --config configs/sample.toml --date 2026-10-30`")
def nightly(
    config: Config = None,
    overrides: Overrides = None,
    date: Date = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """The whole night: new events, embeddings, vectors, index, lists, gates, report, publish."""
    from pipelines import nightly as stage

    chosen = _settings(config, overrides)
    _stage(
        "nightly", chosen, as_json, lambda run: stage.run(chosen, run, date=date, dry_run=dry_run)
    )


@app.command(epilog="Example: `recsys similar b42 --config configs/sample.toml`")
def similar(
    item: Annotated[str, typer.Argument(help="Item id.")],
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Shows the nearest items to an item in the live release."""
    from pipelines import look

    chosen = _settings(config, overrides)
    _look(as_json, look.similar(chosen, item))


@app.command("show-user", epilog="Example: `recsys show-user u17 --config configs/sample.toml`")
def show_user(
    user: Annotated[str, typer.Argument(help="User id.")],
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Shows a user's history and live list, with every score term."""
    from pipelines import look

    chosen = _settings(config, overrides)
    _look(as_json, look.show_user(chosen, user))


@app.command("why-not", epilog="Example: `recsys why-not u17 b42 --config configs/sample.toml`")
def why_not(
    user: Annotated[str, typer.Argument(help="User id.")],
    item: Annotated[str, typer.Argument(help="Item id.")],
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Says what kept an item out of a user's live list: a rule, its score, or variety."""
    from pipelines import why_not as stage

    chosen = _settings(config, overrides)
    _look(as_json, stage.run(chosen, user, item))


@app.command(epilog="Example: `recsys diff 2026-10-29 2026-10-30 --config configs/sample.toml`")
def diff(
    one: Annotated[str, typer.Argument(help="Name of a release, or how it begins.")],
    other: Annotated[str, typer.Argument(help="Name of another one.")],
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Compares two releases: users, lists, items, counts, gates, parents."""
    from pipelines import differences

    chosen = _settings(config, overrides)
    _look(as_json, differences.run(chosen, one, other))


@app.command(epilog="Example: `recsys verify --config configs/sample.toml`")
def verify(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Checks the live release: every file against its manifest, every list against the rules."""
    from pipelines import steer

    chosen = _settings(config, overrides)
    _look(as_json, steer.verify(chosen))


@app.command(epilog="Example: `recsys rollback --to 2026-10-29-0123456789abcdef`")
def rollback(
    to: Annotated[str, typer.Option("--to", help="Name of the release to go back to.")],
    config: Config = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Makes another, verified release the live one."""
    from pipelines import steer

    chosen = _settings(config, overrides)
    _stage("rollback", chosen, as_json, lambda _: steer.rollback(chosen, to))


@app.command(epilog="Example: `recsys status --config configs/sample.toml --json`")
def status(config: Config = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Shows the live release, its age and counts, the other releases, and the last runs."""
    from pipelines import steer

    chosen = _settings(config, overrides)
    _look(as_json, steer.status(chosen))


@app.command(epilog="Examples: `recsys erase u17 --config my.toml`; `recsys erase b42 --item`")
def erase(
    identifier: Annotated[str, typer.Argument(metavar="USER", help="Id of a user, or an item.")],
    config: Config = None,
    overrides: Overrides = None,
    item: Annotated[bool, typer.Option("--item", help="The id is an item's.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only search every file: exit 3 where the id stands.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Removes a person (or an item) from logs, buckets, releases and quarantine; lists it all."""
    from pipelines import erase as stage

    chosen = _settings(config, overrides)
    kind: Literal["user", "item"] = "item" if item else "user"
    if check:
        _look(as_json, stage.check(chosen, kind, identifier))
        return
    _stage("erase", chosen, as_json, lambda run: stage.run(chosen, run, kind, identifier, dry_run))


@app.command(epilog="Examples: `recsys doctor`; `recsys doctor --model --config my.toml`")
def doctor(
    config: Config = None,
    overrides: Overrides = None,
    model: Annotated[
        bool, typer.Option("--model", help="Examine the live model's negatives, lists, vectors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Checks versions, devices, the torch/torchrec/faiss fit and disk; says the fix."""
    from pipelines import doctor as machine
    from pipelines import model_doctor

    chosen = _settings(config, overrides)
    _look(as_json, model_doctor.run(chosen) if model else machine.run(chosen))


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the console command; ends the process with an exit code of contracts.md."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code = invoke(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # idle library threads and closed pipes cannot spoil the exit code


def invoke(arguments: list[str]) -> int:
    """Runs one command line in this process and returns its exit code."""
    global _current_run  # noqa: PLW0603
    _current_run = ""
    try:
        result = app(arguments, standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except BaseException as error:
        code = _told(error)
    if _current_run:
        runs.last_line(code, _current_run)
    return code


def _settings(config: Path | None, overrides: list[str] | None) -> Settings:
    return settings.load(Settings, config, overrides or [])


def _stage(
    command: str, chosen: Settings, as_json: bool, action: Callable[[runs.Run], dict[str, Any]]
) -> None:
    """Runs a stage under the work folder's lock, with a run record, and prints its result."""
    global _current_run  # noqa: PLW0603
    work = Path(chosen.work)
    with (
        durable.exclusive(work),
        runs.recorded(work / "runs", command, chosen.model_dump(mode="json")) as run,
    ):
        _current_run = run.name
        result = action(run)
    _look(as_json, result)


def _look(as_json: bool, result: dict[str, Any]) -> None:
    """Prints a result: as JSON for machines, else its `text` or its lines."""
    if as_json:
        shown = {key: value for key, value in result.items() if key != "text"}
        print(json.dumps(shown, default=str, ensure_ascii=False))
    elif "text" in result:
        print(result["text"])
    else:
        print("\n".join(f"{key}: {value}" for key, value in result.items()))


def _told(error: BaseException) -> int:
    """Says on stderr what went wrong; returns the exit code."""
    match error:
        case Fault():
            print(redacted(str(error)), file=sys.stderr)
        case TyperException():
            print(f"error: {escaped(error.format_message())}", file=sys.stderr)
            return 2
        case SystemExit() | BrokenPipeError():
            return 0 if isinstance(error, BrokenPipeError) else runs.exit_code(error)
        case KeyboardInterrupt():
            print("interrupted; run the same command again to go on", file=sys.stderr)
        case MemoryError() | OSError() if runs.exit_code(error) == 7:
            where = getattr(error, "filename", None)
            print(f"error: out of resources: {error}\n  where: {where}", file=sys.stderr)
        case _:
            print(redacted(traceback.format_exc()), file=sys.stderr)
            print("error: this is a bug in recsys; please report the lines above", file=sys.stderr)
    return runs.exit_code(error)

"""What the commands share: the application, its options, and how a stage runs and prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines import runs
from recsys import distributed, durable
from recsys.errors import UsageFault, escaped_lines
from recsys.settings import load as read_settings

if TYPE_CHECKING:  # the settings know every room, torch among them: `--help` need not wait for that
    from pipelines.settings import Settings

app = typer.Typer(
    name="recsys",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From interaction logs and a catalogue with text, images and video to published nightly "
    "lists.\n\nSettings: `--config FILE` and any number of `section.key=value` after the command.",
)


def _completed(incomplete: str) -> list[str]:
    """Settings that begin so, for the shell's completion."""
    from pipelines.settings import Settings
    from recsys import reference

    keys = [f"{entry.key}=" for entry in reference.entries(Settings)]
    return [key for key in keys if key.startswith(incomplete)]


Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML settings, such as configs/sample.toml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings as section.key=value, such as train.epochs=3.", autocompletion=_completed
    ),
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
StandIns = Annotated[
    bool,
    typer.Option(
        "--stand-ins", help="Also score with generated vectors for what items lack; see pretrain."
    ),
]
Ablate = Annotated[
    bool, typer.Option("--ablate", help="Hide each modality, and show each alone: what pays?")
]
Retrain = Annotated[
    bool, typer.Option("--retrain", help="Train anew for each of these instead of hiding.")
]
Shelves = Annotated[
    bool, typer.Option("--shelves", help="Also judge lists of only new, only long-tail items.")
]
Stale = Annotated[
    bool, typer.Option("--stale", help="Recall of the same lists hours and days later.")
]
TradeOff = Annotated[
    bool, typer.Option("--trade-off", help="What variety costs: rules tried on validation.")
]

current_run: list[str] = []  # name of the run that this process recorded, for its last line


def settings(config: Path | None, overrides: list[str] | None) -> "Settings":
    """Settings from a file and `section.key=value` words; faults as of `recsys.settings.load`."""
    from pipelines.settings import Settings

    return read_settings(Settings, config, overrides or [])


def stage(
    command: str, chosen: "Settings", as_json: bool, action: Callable[[runs.Run], dict[str, Any]]
) -> dict[str, Any]:
    """Runs a stage under the work folder's lock, with a run record, and prints its result.

    Returns:
        the result; empty in a process that is not the first.

    Raises:
        UsageFault: several processes were started for a stage that one does alone; or the work
            folder is the dataset's, or in it.
    """
    work = Path(chosen.work)
    here = distributed.world()
    if here.size > 1 and command != "train":
        raise UsageFault(
            "only `train` runs in several processes", value=f"{command} in {here.size}",
            where="torchrun", fix=f"start `recsys {command}` without torchrun",
        )  # fmt: skip
    _keep_apart(chosen)
    if not here.first:  # the first process holds the lock, keeps the record and prints
        action(runs.Run(""))
        return {}
    with (
        durable.exclusive(work),
        runs.recorded(work / "runs", command, chosen.model_dump(mode="json")) as run,
    ):
        current_run.append(run.name)
        result = action(run)
    show(as_json, result)
    return result


def _keep_apart(chosen: "Settings") -> None:
    given = chosen.data.given.removeprefix("file://")
    work, data = Path(chosen.work).resolve(), Path(given).resolve()
    if work == data or data in work.parents:  # what is made would be read as what is given
        raise UsageFault(
            "the work folder is the dataset folder, or inside it", value=chosen.work,
            where="work", fix="name a folder beside the dataset folder",
        )  # fmt: skip


def show(as_json: bool, result: dict[str, Any]) -> None:
    """Prints a result: as JSON for machines, else its `text` or its lines."""
    if as_json:
        shown = {key: value for key, value in result.items() if key != "text"}
        print(json.dumps(shown, default=str, ensure_ascii=False))
    elif "text" in result:
        print(escaped_lines(result["text"]))
    else:
        print(escaped_lines("\n".join(f"{key}: {value}" for key, value in result.items())))

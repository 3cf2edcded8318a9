"""The `recsys` command: runs one command line, says what went wrong, ends with an exit code."""

import contextlib
import os
import signal
import sys
import traceback
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from pipelines import runs
from pipelines.commands import data, first_steps, learning, looking, nights, shared, space
from recsys import __version__, engine, memory, progress
from recsys.errors import Fault, ResourceFault, escaped
from recsys.progress import say
from recsys.tracking import redacted

COMMANDS = (first_steps, data, learning, nights, looking, space)  # as `--help` lists them


@shared.app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    log: Annotated[
        Literal["text", "json"],
        typer.Option(
            "--log", envvar="RECSYS_LOG", help="What stderr gets: lines, or a JSON object a line."
        ),
    ] = "text",
) -> None:
    progress.write_json(log == "json")
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the console command; ends the process with an exit code of contracts.md."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    memory.keep_freed()
    code = invoke(sys.argv[1:])
    engine.leave()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # idle library threads and closed pipes cannot spoil the exit code


def invoke(arguments: list[str]) -> int:
    """Runs one command line in this process and returns its exit code."""
    shared.current_run.clear()
    progress.write_json(False)
    try:
        result = shared.app(arguments, standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except BaseException as error:
        code = _told(error)
    for name in shared.current_run:
        runs.last_line(code, name)
    return code


def _told(error: BaseException) -> int:
    """Says on stderr what went wrong; returns the exit code."""
    match error:
        case Fault():
            say(redacted(str(error)), "error")
        case TyperException():
            if message := error.format_message():  # bare `recsys` has shown its help
                say(f"error: {escaped(message.replace('Value error, ', ''))}", "error")
            return 2
        case SystemExit() | BrokenPipeError():
            return 0 if isinstance(error, BrokenPipeError) else runs.exit_code(error)
        case KeyboardInterrupt():
            say("interrupted; run the same command again to go on", "error")
        case _ if runs.exit_code(error) == 7:
            say(redacted(str(_resources(error))), "error")
        case _:
            say(redacted(traceback.format_exc()), "error")
            say("error: this is a bug in recsys; please report the lines above", "error")
    return runs.exit_code(error)


def _resources(error: BaseException) -> ResourceFault:
    """What the machine refused, as any other fault is told."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ResourceFault(
        f"out of resources: {why}", where=str(getattr(error, "filename", None) or "this machine"),
        fix="free space or memory, or mend the permissions, then run the same command again",
    )  # fmt: skip

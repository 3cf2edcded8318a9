"""The `recsys` command: runs one command line, says what went wrong, ends with an exit code."""

import contextlib
import os
import signal
import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from pipelines import runs
from pipelines.commands import data, first_steps, learning, looking, nights, shared, space
from recsys import __version__
from recsys.errors import Fault, escaped
from recsys.tracking import redacted

COMMANDS = (first_steps, data, learning, nights, looking, space)  # as `--help` lists them


@shared.app.callback(invoke_without_command=True)
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
    shared.current_run.clear()
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

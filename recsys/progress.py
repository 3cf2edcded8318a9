"""Progress on stderr: a bar on a terminal, a plain line every 30 seconds elsewhere.

Where JSON is asked for, every line is one JSON object: `time` (UTC), `level` (info, warning,
error), `message`, and what else is known, such as `done` and `total` of a stage, `exit` at the end.
"""

import datetime
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

from recsys.errors import escaped_lines

T = TypeVar("T")
LINE_SECONDS = 30.0
WARNING = "warning: "
Level = Literal["info", "warning", "error"]
_JSON: list[bool] = []  # not empty: lines are JSON


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yields `items` and reports how far it is; `what` names the work, as in `encode image`."""
    if sys.stderr.isatty() and not _JSON:
        yield from _bar(items, what, total)
    else:
        yield from _lines(items, what, total)


def say(text: str, level: Level = "info", **facts: object) -> None:
    """One line for the person who watches; results go to stdout, this goes to stderr.

    Args:
        text: one that begins with "warning: " is a warning.
        level: how bad it is.
        facts: for machines only; where lines are not JSON, the text says it all.
    """
    if not _JSON:
        print(escaped_lines(text), file=sys.stderr, flush=True)
        return
    if text.startswith(WARNING):
        text, level = text.removeprefix(WARNING), "warning"
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "message": text, **facts}
    # in ASCII: a terminal would obey some of the rest, such as U+009B and U+202E
    print(json.dumps(line, default=str), file=sys.stderr, flush=True)


def write_json(asked: bool) -> None:
    """Whether every line from now on is a JSON object; for the whole process."""
    _JSON[:] = [True] if asked else []


def paced() -> Callable[[str], None]:
    """A `say` for work that is not a loop of items: it passes on one line in LINE_SECONDS."""
    last = time.monotonic()

    def told(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            say(text)

    return told


def _bar(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(items, what, total=total, console=Console(stderr=True), transient=True)


def _lines(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    last = time.monotonic()
    for done, item in enumerate(items):
        yield item
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            text = f"{what}: {done + 1}" + (f" of {total}" if total else "")
            say(text, work=what, done=done + 1, total=total)

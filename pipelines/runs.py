"""One `run.json` a run: begun when it starts, finished however it ends; for the command line."""

import contextlib
import datetime
import platform
import resource
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import metrics
from recsys import durable, provenance, tracking
from recsys.errors import Fault
from recsys.progress import say


@dataclass
class Run:
    """What is known of the run so far; stages add counts and timings to `facts`."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)

    def folder(self, work: Path) -> Path:
        """Where its record lies below a work folder."""
        return work / "runs" / self.name

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Says and records which stage is running, and its seconds by a clock that never jumps."""
        self.facts["stage"] = stage
        say(f"{stage.replace('_', ' ')} ...", stage=stage)
        begin, spent = time.monotonic(), time.process_time()
        yield
        self.facts.setdefault("seconds", {})[stage] = round(time.monotonic() - begin, 2)
        self.facts.setdefault("cpu_seconds", {})[stage] = round(time.process_time() - spent, 2)

    def tell_speeds(self, users: int) -> None:
        """Records how many users a second each stage so far did; says how long each took."""
        seconds = self.facts.get("seconds", {})
        speeds = {stage: round(users / max(spent, 0.01), 1) for stage, spent in seconds.items()}
        self.facts["users_per_second"] = speeds
        told = ", ".join(f"{stage} {spent:,.1f}" for stage, spent in seconds.items())
        say(f"seconds: {told.replace('_', ' ')}")


@contextlib.contextmanager
def recorded(root: Path, command: str, settings: dict[str, Any]) -> Iterator[Run]:
    """Keeps `root/NAME/run.json` up to date around a command, also when it fails."""
    begin = datetime.datetime.now(datetime.UTC)
    run = Run(f"{begin:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
    folder = root / run.name
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "run": run.name,
        "command": command,
        "status": "running",
        "settings": tracking.without_secrets(settings),
        "begin": begin.isoformat(),
        "host": platform.node(),
        "versions": provenance.versions(),
    }
    durable.replace_json(folder / "run.json", record)
    clock = time.monotonic()
    try:
        yield run
        record |= {"status": "ok", "exit": 0}
    except BaseException as error:
        record |= {"status": "refused" if exit_code(error) == 4 else "failed"}
        record |= {"exit": exit_code(error), "error": tracking.redacted(str(error))}
        raise
    finally:
        record |= run.facts | {"total_seconds": round(time.monotonic() - clock, 2)}
        record["end"] = datetime.datetime.now(datetime.UTC).isoformat()
        record["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        with contextlib.suppress(OSError):
            durable.replace_json(folder / "run.json", record)
            if command == "nightly":
                metrics.write(root.parent, record)


def exit_code(error: BaseException) -> int:
    """The process exit code that belongs to an exception (contracts.md)."""
    match error:
        case Fault():
            return error.exit_code
        case KeyboardInterrupt():
            return 130
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
        case MemoryError() | PermissionError():
            return 7
        case _:
            return 7 if durable.disk_errno(error) else 1


def last_line(code: int, run: str) -> None:
    """The closing line on stderr that a scheduler can read."""
    status = {0: "ok", 4: "refused", 130: "interrupted", 143: "interrupted"}.get(code, "failed")
    line = f"status={status} exit={code} run={run or '-'}"
    say(line, "info" if code == 0 else "error", status=status, exit=code, run=run)

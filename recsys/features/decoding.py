"""Decodes sources ahead of the encoder and in order; used by `encode`.

Threads read the files; each has a process to decode images and clips in (see `confined`). The
threads are daemons: a file on a store that hangs is given up, and not waited for at exit.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.durable import sha256
from recsys.errors import Fault, ResourceFault
from recsys.features.encoders import Encoder
from recsys.features.media import MediaFault

TICK_SECONDS = 0.05


@dataclass
class _Task:
    key: str
    source: Path | str
    done: threading.Event = field(default_factory=threading.Event)
    started: float | None = None
    result: Any = None


_Tasks = queue.SimpleQueue[_Task | None]


def decode(
    encoder: Encoder,
    sources: Iterable[tuple[str, Path | str]],
    ahead: int,
    threads: int,
    timeout_seconds: float,
) -> Iterator[tuple[str, Any]]:
    """Yields key and decoded source, or the `MediaFault`, in the order of `sources`.

    Args:
        encoder: its `load` runs in the threads.
        sources: key and path or text; the key of a path is the sha256 of its bytes.
        ahead: most sources that are decoded and not yet taken.
        threads: that decode.
        timeout_seconds: that one source may take.

    Raises:
        ResourceFault: file after file hangs: the store does not answer; or no process to decode in
            can be started.
    """
    tasks: _Tasks = queue.SimpleQueue()
    waiting: deque[_Task] = deque()
    remaining = iter(sources)
    hanging = 0
    for _ in range(threads):
        _start(encoder, tasks)
    try:
        while True:
            while len(waiting) < ahead and (pair := next(remaining, None)):
                waiting.append(_Task(*pair))
                tasks.put(waiting[-1])
            if not waiting:
                return
            task = waiting.popleft()
            if _wait(task, timeout_seconds):
                if isinstance(task.result, Fault):
                    raise task.result
                yield task.key, task.result
                continue
            hanging += 1
            _check_hanging(hanging, threads, task)
            _start(encoder, tasks)
            yield task.key, MediaFault("timeout", f"not decoded after {timeout_seconds:g} s")
    finally:
        for _ in range(threads):
            tasks.put(None)


def _start(encoder: Encoder, tasks: _Tasks) -> None:
    threading.Thread(target=_work, args=(encoder, tasks), daemon=True, name="decode").start()


def _work(encoder: Encoder, tasks: _Tasks) -> None:
    while task := tasks.get():
        task.started = time.monotonic()
        try:
            _check_content(task)
            task.result = encoder.load(task.source)
        except MediaFault as fault:
            task.result = fault
        except MemoryError:
            task.result = MediaFault("out_of_memory", "not enough memory to decode it")
        except Fault as fault:  # no process to decode in can be started: it is not the file
            task.result = fault
        except Exception as error:  # whatever a decoder does must not stop the others
            task.result = MediaFault("undecodable", f"{type(error).__name__}: {error}"[:300])
        task.done.set()


def _check_content(task: _Task) -> None:
    """Refuses a file that is not the one whose content the catalogue hashed."""
    if isinstance(task.source, str):
        return
    try:
        found = sha256(task.source)
    except OSError as error:
        raise MediaFault("unreadable", f"the file cannot be read: {error.strerror}") from None
    if found != task.key:
        raise MediaFault("changed", f"the file changed since it was listed: sha256 {found[:16]}")


def _wait(task: _Task, seconds: float) -> bool:
    """Whether the task ended within `seconds` of its start."""
    while not task.done.wait(TICK_SECONDS):
        if task.started is not None and time.monotonic() - task.started > seconds:
            return task.done.is_set()
    return True


def _check_hanging(hanging: int, threads: int, task: _Task) -> None:
    if hanging > 2 * threads:
        raise ResourceFault(
            f"{hanging} files were not decoded in time: the media store may hang",
            value=task.source, fix="mend the store and run again: what is done is kept",
        )  # fmt: skip

"""Processes that train together, as torchrun starts them: which one this is, and how they meet.

Only `train` runs in several processes. The first one alone writes: checkpoints, records, the model.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from recsys.errors import ResourceFault, UsageFault
from recsys.settings import Section


class ProcessSettings(Section):
    """How the processes of one training talk to each other."""

    backend: Literal["auto", "gloo", "nccl"] = Field(
        "auto", description="auto is nccl where each process has a GPU, else gloo"
    )
    timeout_seconds: float = Field(
        1800.0,
        gt=0,
        description="how long a process waits for another that does not answer: longer than the "
        "first one needs to encode what is new, and to validate",
    )


@dataclass(frozen=True)
class World:
    """This process among those of one training: number `rank` of `size`, `local` on its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0


def world() -> World:
    """This process's place, by what torchrun put into the environment; alone without it.

    Raises:
        UsageFault: the environment speaks of processes, but not in numbers that fit.
    """
    texts = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    if not texts[0] or not texts[1]:
        return World()
    if not all(text.isdecimal() for text in texts if text) or int(texts[0]) >= int(texts[1]):
        raise UsageFault(
            "RANK and WORLD_SIZE are no place among processes", value=" of ".join(texts[:2]),
            where="the environment", fix="start with torchrun, or unset both",
        )  # fmt: skip
    return World(int(texts[0]), int(texts[1]), int(texts[2] or texts[0]))


def wait() -> None:
    """Waits until every process has come here; alone, for nothing."""
    if world().size > 1:
        from torch import distributed

        distributed.barrier()


@contextlib.contextmanager
def joined(settings: ProcessSettings) -> Iterator[World]:
    """Lets the processes that torchrun started talk while inside; alone, does nothing.

    Raises:
        ResourceFault: another process is gone, or has not answered in time.
    """
    here = world()
    if here.size == 1:
        yield here
        return
    import torch
    from torch import distributed

    backend = settings.backend
    if backend == "auto":
        backend = "nccl" if torch.cuda.device_count() > here.local else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(here.local)
    patience = datetime.timedelta(seconds=settings.timeout_seconds)
    try:
        distributed.init_process_group(backend, timeout=patience)
        yield here
    except RuntimeError as error:
        if not _of_the_group(error):
            raise
        raise ResourceFault(
            "another process of this training is gone, or did not answer in time",
            value=str(error).splitlines()[0], where=f"process {here.rank} of {here.size}",
            fix="look for that process's own message, then run the same command with --resume",
        ) from error  # fmt: skip
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _of_the_group(error: RuntimeError) -> bool:
    """Whether the processes' connection failed, not what they compute."""
    from torch import distributed

    words = ("gloo", "nccl", "closed by peer", "connection reset", "timed out", "barrier")
    known = isinstance(error, distributed.DistError)
    return known or any(word in str(error).lower() for word in words)

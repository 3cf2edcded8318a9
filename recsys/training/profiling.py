"""Where the time of training goes: `train.profile=true`. Called by the run."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import profiler

from recsys.progress import say

FIRST, STEPS, OPERATORS = 5, 20, 12
PARTS = ("waiting for a batch", "items", "states", "softmax", "backward", "weights")


def part(name: str) -> profiler.record_function:
    """Names what happens inside, one of `PARTS`; costs a microsecond where nobody looks."""
    return profiler.record_function(name)


@contextlib.contextmanager
def watched(wanted: bool, device: torch.device) -> Iterator[Callable[[], None]]:
    """Gives what to call after each step; says after some steps where their time went.

    Args:
        wanted: false watches nothing.
        device: that is trained on.
    """
    if not wanted:
        yield lambda: None
        return
    kinds = [profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(profiler.ProfilerActivity.CUDA)
    plan = profiler.schedule(wait=FIRST, warmup=1, active=STEPS, repeat=1)
    with profiler.profile(activities=kinds, schedule=plan, on_trace_ready=_tell) as watch:
        yield watch.step


def _tell(watch: profiler.profile) -> None:
    found = watch.key_averages()
    spent = {event.key: event.cpu_time_total for event in found if event.key in PARTS}
    say(f"profile of {STEPS} steps, milliseconds a step:")
    for name in PARTS:
        say(f"  {name:20} {spent.get(name, 0.0) / STEPS / 1000:9.2f}")
    slowest = sorted(found, key=lambda event: -event.self_cpu_time_total)
    say("slowest operators, milliseconds a step and calls:")
    for event in [event for event in slowest if event.key.startswith("aten::")][:OPERATORS]:
        each = event.self_cpu_time_total / STEPS / 1000
        say(f"  {event.key:28} {each:9.2f} {event.count // STEPS:6}")

"""Where networks and searches run: what a setting asks for, and what the machine has."""

import torch

from recsys.errors import UsageFault


def chosen(wanted: str, where: str) -> torch.device:
    """The device that a setting names.

    Args:
        wanted: cpu, cuda, or auto: a GPU where there is one.
        where: the setting, for the message.

    Raises:
        UsageFault: CUDA is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageFault(
            "there is no CUDA device here", value="cuda", where=where,
            fix="set it to auto or cpu; `recsys doctor` says what torch sees",
        )  # fmt: skip
    if wanted == "cpu" or not there:
        return torch.device("cpu", 0)
    return torch.device("cuda", torch.cuda.current_device())

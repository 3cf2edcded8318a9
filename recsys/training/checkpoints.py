"""Checkpoints of a training run: everything that the next step depends on, as tensors and JSON.

Each is published like every artefact, so that a half-written one is never listed. Called by the
trainer, which says what belongs in one.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys import artefacts
from recsys.errors import InputFault, MismatchFault
from recsys.progress import say
from recsys.settings import flat

KIND = "checkpoint"
PREFIX = "step-"
TENSORS = "state.safetensors"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: tensors by name, and plain values (numbers, texts, lists of them)."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def save(root: Path, step: int, checkpoint: Checkpoint) -> None:
    """Publishes `root/step-00000030` and then removes all but the newest two.

    Raises:
        ResourceFault: the disk is full or not writable; the older checkpoints are untouched.
    """
    name = f"{PREFIX}{step:08d}"
    with artefacts.publishing(root, name, KIND) as staged:
        tensors = {name: value.detach().cpu() for name, value in checkpoint.tensors.items()}
        # clones: safetensors refuses tensors that share memory
        save_file({k: v.clone().contiguous() for k, v in tensors.items()}, staged.folder / TENSORS)
        staged.facts["values"] = checkpoint.values
    for old in _folders(root)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def newest(root: Path) -> Checkpoint | None:
    """The newest complete checkpoint, or None. Damaged ones are skipped with a warning."""
    for folder in _folders(root):
        try:
            manifest = artefacts.read(folder, KIND)
        except InputFault as fault:
            say(f"checkpoint {folder.name} is skipped: {fault.what}")
            continue
        return Checkpoint(load_file(folder / TENSORS), manifest["values"])
    return None


def clear(root: Path) -> None:
    """Removes all checkpoints below `root`: a run that starts anew must not find an older one."""
    for folder in _folders(root):
        shutil.rmtree(folder)
    (root / artefacts.POINTER).unlink(missing_ok=True)


def compare(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: Path) -> None:
    """Refuses to go on with other settings, another model or other data than the checkpoint's.

    Raises:
        MismatchFault: with the dotted names that differ and both values.
    """
    old, new = dict(flat(saved)), dict(flat(wanted))
    changed = [
        f"{name}: {new.get(name, 'nothing')} instead of {old.get(name, 'nothing')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if changed:
        raise MismatchFault(
            "the checkpoint belongs to another run", value="; ".join(changed[:5]), where=str(where),
            fix="resume with the settings and data it was made with, or do not resume",
        )  # fmt: skip


def optimizer_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The state of `optimizers` as tensors named optimizer/weight/name."""
    return {
        f"{number}/{weight}/{name}": torch.as_tensor(value)
        for number, optimizer in enumerate(optimizers)
        for weight, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizers(
    optimizers: list[torch.optim.Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """The reverse of `optimizer_tensors`, into optimizers over the same weights."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor | int]] = {}
        for key, value in tensors.items():
            place, weight, name = key.split("/")
            if int(place) == number:
                counter = value.dim() == 0 and value.dtype == torch.int64
                state.setdefault(int(weight), {})[name] = int(value) if counter else value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def random_tensors(device: torch.device) -> dict[str, Tensor]:
    """States of the random number generators that training uses."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """The reverse of `random_tensors`."""
    torch.set_rng_state(tensors["cpu"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below `prefix/`, named without it."""
    start = f"{prefix}/"
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `prefix/`."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def _folders(root: Path) -> list[Path]:
    """Checkpoint folders, newest first, complete or not."""
    if not root.is_dir():
        return []
    return sorted((path for path in root.glob(f"{PREFIX}*") if path.is_dir()), reverse=True)

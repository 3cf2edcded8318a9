"""Settings of a training run, and the device and precision that they name. Used by the run."""

from typing import Literal

import torch
from pydantic import Field

from recsys import devices
from recsys.distributed import ProcessSettings
from recsys.settings import Section
from recsys.training.batches import BatchSettings
from recsys.training.optimizers import OptimizerSettings

# settings that do not change what a run computes: a resumed run may have others
FREE = {"device", "checkpoint_steps", "stop_after_steps", "profile", "table", "processes"}


class TableSettings(Section):
    """Where the rows of the id table lie while several processes train (torchrun)."""

    sharding: Literal["auto", "row_wise", "table_wise"] = Field(
        default="auto",
        description="spread the rows over the processes, or leave all to one; auto lets torchrec's "
        "planner choose",
    )
    kernel: Literal["auto", "fused", "fused_uvm", "fused_uvm_caching"] = Field(
        default="auto",
        description="of fbgemm: rows in GPU memory; in host memory; or there with a cache on the "
        "GPU, for tables larger than all GPUs together",
    )
    cache_share: float = Field(
        default=0.2, gt=0, le=1, description="fused_uvm_caching: share of the rows cached on a GPU"
    )


class TrainingSettings(Section):
    """How the model is trained."""

    epochs: int = Field(default=30, ge=1, le=100_000, description="passes over the histories")
    patience: int = Field(
        default=2,
        ge=1,
        description="epochs without a better validation before learning rates fall (on a plateau) "
        "or training stops",
    )
    patience_steps: int = Field(
        default=250, ge=0, description="and no fewer steps than these: small logs have short epochs"
    )
    seed: int = Field(default=0, ge=0, description="fixes initial weights, batches and dropout")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes the GPU where there is one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="of the towers; auto is bfloat16 on a GPU, and on a CPU whatever multiplies "
        "float32 matrices fastest (float32 on AVX-512, bfloat16 on AMX)",
    )
    catch_up_epochs: int = Field(
        default=3,
        ge=0,
        le=100,
        description="passes over what happened after training, so that lists know it; 0 for none",
    )
    catch_up_rate: float = Field(
        default=0.3, gt=0, le=1, description="learning rates of these, relative to the peaks"
    )
    checkpoint_steps: int = Field(
        default=1000, ge=1, description="steps between checkpoints; one more at each epoch's end"
    )
    stop_after_steps: int = Field(
        default=0, ge=0, description="stop, with a checkpoint, after this step; 0 runs to the end"
    )
    profile: bool = Field(
        default=False, description="say where the time of the first steps of each epoch goes"
    )
    table: TableSettings = Field(
        default=TableSettings(), description="where the id table lies, with several processes"
    )
    processes: ProcessSettings = Field(
        default=ProcessSettings(), description="how several processes talk to each other"
    )
    batches: BatchSettings = Field(default=BatchSettings(), description="what a batch holds")
    optimizer: OptimizerSettings = Field(
        default=OptimizerSettings(), description="how weights move"
    )


def chosen_device(settings: TrainingSettings) -> torch.device:
    """The device of `settings.device`.

    Raises:
        UsageFault: CUDA is asked for and there is none.
    """
    return devices.chosen(settings.device, "train.device")


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """The precision of `settings` for the towers' forward pass."""
    wanted = settings.precision
    low = wanted == "bfloat16" or (wanted == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=low)


def cuda_devices(device: torch.device) -> list[torch.device]:
    """`device` in a list if it is a GPU: the argument of `fork_rng`."""
    return [device] if device.type == "cuda" else []

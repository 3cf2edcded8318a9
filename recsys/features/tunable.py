"""Encoders that are networks, made ready to learn: which of their weights, and how they are kept.

Called by the pretraining pipeline, which trains them with its objectives. A tuned encoder is saved
as what encoders load anyway, whole and as safetensors, and so has a fingerprint of its own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from recsys.errors import UsageFault
from recsys.features.encoders import Encoder
from recsys.offline import stay_offline

Tuned = Literal["lora", "last_layers", "all"]


@runtime_checkable
class Tunable(Encoder, Protocol):
    """An encoder that is a network.

    Attributes:
        network: with all its weights.
    """

    network: Any

    def vectors(self, batch: list[Any]) -> Tensor:
        """`[B, width]`, with gradients."""

    def save(self, folder: Path) -> dict[str, str]:
        """Writes the weights below `folder`; returns the setting that names them there."""


def begin(
    network: nn.Module, what: Tuned, layers: int, rank: int, checkpointing: bool
) -> Callable[[], None]:
    """Lets a part of a network learn, in place, and sets it to training.

    Statistics of batch norms stay what they are: batches are small.

    Args:
        network: of transformers or timm.
        what: low-rank additions to its matrices (LoRA, Hu et al., 2021); its last layers; all.
        layers: how many of the last; what stands behind them learns, too.
        rank: of the additions.
        checkpointing: computes activations anew on the way back instead of keeping them.

    Returns:
        ends the training: folds the additions into the weights.

    Raises:
        UsageFault: LoRA without peft.
    """
    network.requires_grad_(what == "all")
    if checkpointing:
        _checkpoint(network)
    merge: Callable[[], object] = network.eval
    if what == "last_layers":
        for weight in _last(network, layers):
            weight.requires_grad_(True)
    elif what == "lora":
        merge = _low_rank(network, rank)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()

    def end() -> None:
        merge()
        network.eval().requires_grad_(False)

    return end


def _last(network: nn.Module, layers: int) -> list[nn.Parameter]:
    """Weights of the last of the network's longest row of modules, and of all behind them."""
    rows = [
        (name, row)
        for name, row in network.named_modules()
        if name and isinstance(row, nn.ModuleList | nn.Sequential) and [*row.parameters()]
    ]
    if not rows:
        return list(network.parameters())
    name, row = max(rows, key=lambda pair: len(pair[1]))
    start = f"{name}.{max(0, len(row) - layers)}."
    names = [one for one, _ in network.named_parameters()]
    first = next((place for place, one in enumerate(names) if one.startswith(start)), 0)
    return list(network.parameters())[first:]


def _low_rank(network: nn.Module, rank: int) -> Callable[[], object]:
    """Adds low-rank matrices to all linear maps and to convolutions that are not by channel."""
    stay_offline()
    try:
        from peft import LoraConfig, LoraModel
    except ImportError:
        raise UsageFault(
            "LoRA needs the library peft", value="lora", where="pretrain.trainable",
            fix="pip install 'recsys[lora]', or train last_layers",
        ) from None  # fmt: skip
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    ]
    chosen = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names)
    merge: Callable[[], object] = LoraModel(network, chosen, "default").merge_and_unload
    return merge


def _checkpoint(network: Any) -> None:
    """Both libraries have a switch of their own."""
    if hasattr(network, "activation_checkpointing_enable"):
        network.activation_checkpointing_enable({"use_reentrant": False})
    else:
        network.set_grad_checkpointing(True)

"""A trained model as plain files: `model.safetensors`, `model.json` and `item_ids.json`.

The pipelines write them inside a published artefact, whose manifest notices a flipped bit. What is
checked here is that the parts fit: every weight, its shape, finite numbers, one id a table row.
Only safe formats: loading a model cannot run code.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys import durable
from recsys.errors import InputFault, MismatchFault
from recsys.models.two_tower import ModelSettings, ModelShape, TwoTower
from recsys.settings import Section
from recsys.vocabulary import Vocabulary

FORMAT = 2  # 1: terms of popularity were logarithms of each count
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
ITEM_IDS = "item_ids.json"


class Description(Section):
    """`model.json`: with the weights and the ids it is the whole model."""

    format: int = Field(ge=FORMAT, le=FORMAT, description="version of this layout and its terms")
    settings: ModelSettings = Field(description="of the two towers")
    shape: ModelShape = Field(description="what the data fixes")
    vocabulary: str = Field(description="checksum of the item ids in their order")


@dataclass(frozen=True)
class Saved:
    """A model read back, and the id of every row of its id table."""

    model: TwoTower
    item_ids: Vocabulary


def write(model: TwoTower, folder: Path, item_ids: Sequence[str]) -> None:
    """Writes the three files into the existing `folder`.

    Args:
        model: on any device.
        folder: an existing folder, usually one that is being published.
        item_ids: the id of every row of the id table, in order.

    Raises:
        InputFault: a weight is not finite.
        MismatchFault: there is not one id for each row of the table.
    """
    vocabulary = Vocabulary(item_ids)
    _check_ids(len(vocabulary), model.shape, folder)
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    _check_finite(weights, "the model to be saved")
    save_file(weights, folder / WEIGHTS)
    description = Description(
        format=FORMAT,
        settings=model.settings,
        shape=model.shape,
        vocabulary=vocabulary.checksum,
    )
    durable.write_json(folder / DESCRIPTION, description.model_dump())
    durable.write_json(folder / ITEM_IDS, list(vocabulary.ids))


def read(folder: Path) -> Saved:
    """Reads a model, in evaluation mode, on the CPU.

    Raises:
        InputFault: a file is missing, damaged, of another format, or holds other or extra keys.
        MismatchFault: weights, description and ids belong to different models.
    """
    path = folder / DESCRIPTION
    try:
        description = Description.model_validate(_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputFault(
            f"the model's description does not fit this version: {first['msg']}",
            value=first["input"], where=f"{path}: {'.'.join(map(str, first['loc']))}",
            fix="train again, or use the version of recsys that wrote it",
        ) from None  # fmt: skip
    ids = _item_ids(folder / ITEM_IDS)
    if ids.checksum != description.vocabulary:
        raise MismatchFault(
            "the item ids are not those that the model was saved with",
            value=f"{ids.checksum}, the model says {description.vocabulary}",
            where=str(folder / ITEM_IDS), fix="restore the model's folder, or train again",
        )  # fmt: skip
    _check_ids(len(ids), description.shape, folder)
    model = TwoTower(description.settings, description.shape)
    load(model, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return Saved(model.eval(), ids)


def load(model: TwoTower, weights: dict[str, Tensor], where: str) -> None:
    """Puts `weights` into `model`, strictly: the same names, the same shapes, finite numbers.

    Raises:
        MismatchFault: names or shapes differ; they are listed.
        InputFault: a weight is not finite.
    """
    wanted = {name: list(value.shape) for name, value in model.state_dict().items()}
    found = {name: list(value.shape) for name, value in weights.items()}
    if wanted != found:
        names = sorted(wanted.keys() | found.keys())
        wrong = [
            f"{name}: {found.get(name, 'missing')} instead of {wanted.get(name, 'nothing')}"
            for name in names
            if wanted.get(name) != found.get(name)
        ]
        raise MismatchFault(
            f"{len(wrong)} of {len(names)} weights do not fit the model's description",
            where=f"{where}: {'; '.join(wrong[:5])}",
            fix="restore the model's folder, or train again with these settings",
        )
    _check_finite(weights, where)
    model.load_state_dict(weights)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        InputFault: the file is missing, truncated or otherwise no valid safetensors file.
    """
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = stream.read(min(size, 100_000_000))
        json.loads(header, object_pairs_hook=_distinct)
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputFault(
            f"the weights cannot be read: {error}", where=str(path),
            fix="restore the file, or train again",
        ) from None  # fmt: skip


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_distinct)
    except (OSError, ValueError) as error:
        raise InputFault(
            f"a file of the model cannot be read: {error}", where=str(path),
            fix="restore the model's folder, or train again",
        ) from None  # fmt: skip


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that stands twice, of which JSON readers silently keep the last."""
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return values


def _item_ids(path: Path) -> Vocabulary:
    ids = _json(path)
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise InputFault(
            "item ids must be a list of texts", where=str(path), fix="restore the model's folder"
        )
    try:
        return Vocabulary(ids)
    except ValueError as error:
        raise InputFault(str(error), where=str(path), fix="restore the model's folder") from None


def _check_ids(count: int, shape: ModelShape, folder: Path) -> None:
    if count != shape.table_rows:
        raise MismatchFault(
            "the id table and the list of item ids differ in length",
            value=f"{shape.table_rows} rows, {count} ids", where=str(folder),
            fix="give the id of every table row, in order",
        )  # fmt: skip


def _check_finite(weights: dict[str, Tensor], where: str) -> None:
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise InputFault(
                f"weight {name} holds numbers that are not finite",
                value=f"{int((~torch.isfinite(value)).sum())} of {value.numel()}", where=where,
                fix="use an older model; train again with a lower learning rate",
            )  # fmt: skip

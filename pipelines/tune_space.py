"""Where `recsys tune` searches, and how values get into settings. Called by `tune`."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from pipelines.inputs import Inputs
from pipelines.settings import Settings
from recsys import __version__
from recsys.training.settings import FREE

Values = dict[str, Any]


class Range(NamedTuple):
    """Where a setting may lie; `only` names another setting and the value that gives it a role."""

    values: BaseDistribution
    only: tuple[str, object] | None = None


LAYERS = ("model.users.kind", "transformer")
SPACE = {
    "train.optimizer.learning_rate": Range(FloatDistribution(3e-4, 1e-2, log=True)),
    "train.optimizer.table_learning_rate": Range(FloatDistribution(3e-3, 0.1, log=True)),
    "model.width": Range(CategoricalDistribution((32, 64, 128))),
    "model.users.blocks": Range(IntDistribution(1, 3), LAYERS),
    "model.users.dropout": Range(FloatDistribution(0.0, 0.5)),
    "model.users.max_length": Range(CategoricalDistribution((50, 200))),
    "model.users.request_time": Range(CategoricalDistribution((False, True))),
    "model.items.id_dropout": Range(FloatDistribution(0.0, 0.6)),
    "model.items.modality_dropout": Range(FloatDistribution(0.0, 0.3)),
    "train.batches.negatives": Range(
        IntDistribution(256, 4096, log=True), ("train.batches.candidates", "mixed")
    ),
    "train.batches.session_weight": Range(
        CategoricalDistribution((0.2, 1.0)), ("train.batches.objective", "night")
    ),
}


def space(settings: Settings) -> dict[str, BaseDistribution]:
    """The ranges that matter under `settings`, each widened to hold its value there.

    Widths that the attention heads do not divide are left out.
    """
    flat = dotted(settings)
    heads = (settings.model.users.heads, settings.model.items.fusion.heads)
    ranges: dict[str, BaseDistribution] = {}
    for key, (values, only) in SPACE.items():
        if only is not None and flat[only[0]] != only[1]:
            continue
        ranges[key] = _widened(values, flat[key])
        if key == "model.width":
            assert isinstance(values, CategoricalDistribution)
            fitting = [
                width
                for width in values.choices
                if not any(int(width or 0) % count for count in heads)
            ]
            ranges[key] = _widened(CategoricalDistribution(fitting or [flat[key]]), flat[key])
    return ranges


def _widened(values: BaseDistribution, given: Any) -> BaseDistribution:
    match values:
        case FloatDistribution(low=low, high=high, log=log):
            return FloatDistribution(min(low, given), max(high, given), log=log)
        case IntDistribution(low=low, high=high, log=log):
            return IntDistribution(min(low, given), max(high, given), log=log)
        case CategoricalDistribution(choices=choices):
            return CategoricalDistribution(sorted({*choices, given}))
    raise TypeError(values)


def dotted(settings: Settings) -> Values:
    """All settings as `section.key` -> value."""

    def flat(values: Mapping[str, Any], prefix: str) -> Values:
        found: Values = {}
        for key, value in values.items():
            inner = flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {}
            found |= inner or {prefix + key: value}
        return found

    return flat(settings.model_dump(mode="json"), "")


def replaced(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """`settings` with dotted `values` in them, validated."""
    whole = settings.model_dump(mode="json")
    for key, value in values.items():
        *sections, last = key.split(".")
        target = whole
        for section in sections:
            target = target[section]
        target[last] = value
    return Settings.model_validate(whole)


def study_name(settings: Settings, found: Inputs, ranges: Mapping[str, BaseDistribution]) -> str:
    """A name that data, ranges, and all settings that move validation and are not searched fix."""
    free = {f"train.{key}" for key in FREE}
    kept = {
        key: value
        for key, value in dotted(settings).items()
        if key.startswith(("catalogue.", "features.", "split.", "model.", "train.", "lists."))
        and key not in ranges
        and key not in free
    }
    parts = [
        __version__, found.catalogue.name, found.interactions.name, kept,
        {key: distribution_to_json(values) for key, values in ranges.items()},
    ]  # fmt: skip
    text = json.dumps(parts, sort_keys=True)
    return f"tune-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

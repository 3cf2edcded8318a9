"""Every setting with its default, what it may be and what it does, as the classes say it.

Made from the settings classes: `recsys init` writes them as a commented template, `recsys settings`
explains them, and the documentation lists them.
"""

import datetime
import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class Entry:
    """One setting.

    Attributes:
        key: dotted, as `train.epochs`.
        about: what it does.
        kind: what it may be, in words.
        default: as TOML; empty where it is unset.
    """

    key: str
    about: str
    kind: str
    default: str


def entries(kind: type[BaseModel]) -> list[Entry]:
    """Every setting of a class and of the sections in it, in their order."""
    return list(_entries(kind, ""))


def sections(kind: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """What each section is about, by its dotted name."""
    found = {}
    for name, field in kind.model_fields.items():
        inner = _section(field)
        if inner is not None:
            found[f"{prefix}{name}"] = field.description or ""
            found |= sections(inner, f"{prefix}{name}.")
    return found


def template(kind: type[BaseModel], chosen: Mapping[str, Any]) -> str:
    """Settings as a TOML file in which everything but `chosen` is commented out.

    Args:
        kind: the settings class.
        chosen: values by dotted key that stand there for good.
    """
    known, lines = entries(kind), []
    for section, about in {"": "", **sections(kind)}.items():
        mine = [entry for entry in known if entry.key.rpartition(".")[0] == section]
        if section and mine:
            lines += ["", f"[{section}]  # {about}"]
        for entry in mine:
            value = toml(chosen[entry.key]) if entry.key in chosen else entry.default
            mark = "" if entry.key in chosen else "# "
            name = entry.key.rpartition(".")[2]
            lines.append(f"{mark}{name} = {value or '(unset)'}  # {entry.about}; {entry.kind}")
    return "\n".join(lines).strip() + "\n"


def toml(value: Any) -> str:  # noqa: PLR0911
    """A value as TOML; empty for None, which TOML does not have."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case datetime.date():
            return value.isoformat()
        case dict():
            inner = ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _entries(kind: type[BaseModel], prefix: str) -> Iterator[Entry]:
    for name, field in kind.model_fields.items():
        inner = _section(field)
        if inner is not None:
            yield from _entries(inner, f"{prefix}{name}.")
            continue
        bounds = [
            f"{told} {getattr(limit, mark)}"
            for limit in field.metadata for mark, told in BOUNDS.items() if hasattr(limit, mark)
        ]  # fmt: skip
        told = ", ".join([_words(field.annotation), *bounds])
        default = field.get_default(call_default_factory=True)
        about = " ".join((field.description or "").rstrip(".").split())
        yield Entry(prefix + name, about, told, toml(default))


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _words(kind: Any) -> str:
    """A type in words: `list of text`, `one of a, b`."""
    inside = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in inside)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_words(part) for part in inside if part is not type(None)) + ", or unset"
    if origin is tuple:
        return f"list of {_words(inside[0])}"
    if origin is dict:
        return f"table of {_words(inside[1])}"
    name = getattr(kind, "__name__", str(kind))
    return PLAIN.get(kind, "section" if "." in str(kind) and "datetime" not in str(kind) else name)

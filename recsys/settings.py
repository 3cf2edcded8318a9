"""Reading settings: TOML file plus `section.key=value` overrides into frozen pydantic models.

Every room declares its own `Section` beside what it sets; `pipelines.settings` puts them together.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from recsys import remote
from recsys.errors import UsageFault, near


class Section(BaseModel):
    """A frozen group of settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


S = TypeVar("S", bound=Section)


def _path(text: str) -> str:
    """A path with `~` as the home folder; nothing else in it stands for something."""
    if found := re.search(r"\$\{\w*\}", text):
        raise ValueError(f"variables of the environment are not filled in: write out {found[0]}")
    return os.path.expanduser(text)  # noqa: PTH111 a text, which may be the name of a hub model


def _on_disk(text: str) -> str:
    """A path, and no address: what is renamed, synced and locked lies on a disk."""
    if remote.is_address(text):
        scheme = text.partition("://")[0]
        raise PydanticCustomError(
            SECRET, "a path on a disk is needed here, not an address ({scheme}://)",
            {"scheme": scheme},
        )  # fmt: skip
    return text


def _place(text: str) -> str:
    """A path, or the address of a store."""
    try:
        return remote.checked(text) if remote.is_address(text) else text
    except ValueError as error:
        raise PydanticCustomError(SECRET, "{why}", {"why": str(error)}) from None


SECRET = "address"  # kind of an error whose value is not shown: it may hold a password
PathText = Annotated[str, AfterValidator(_path), AfterValidator(_on_disk)]
PlaceText = Annotated[str, AfterValidator(_path), AfterValidator(_place)]


def load(kind: type[S], path: Path | None, overrides: Iterable[str] = ()) -> S:
    """Reads settings of `kind` from a TOML file, then applies `section.key=value` overrides.

    Args:
        kind: the settings class.
        path: a TOML file, or None for the defaults.
        overrides: texts such as `train.epochs=3`; values are read as TOML, else as plain text.

    Raises:
        UsageFault: the file is missing or no TOML, a key is unknown, a value is out of range.
    """
    text = _read(path) if path else ""
    values = _parse(text, path)
    for override in overrides:
        _apply(values, override)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _explained(kind, error, text, path) from None


def fingerprint(section: BaseModel, without: str = "") -> str:
    """A short hash of the settings: equal settings, equal fingerprint (16 hex digits).

    Args:
        section: the settings.
        without: name of one that does not count.
    """
    told = section.model_dump_json(exclude={without})
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings as `section.key` and value, from nested mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageFault(
            "the settings file cannot be read",
            where=f"--config {path}",
            fix=f"name an existing TOML file ({error.strerror})",
        ) from None
    except UnicodeDecodeError as error:
        raise UsageFault(
            "the settings file is not UTF-8",
            where=f"{path}: byte {error.start}",
            fix="save it as UTF-8",
        ) from None


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageFault(
            f"the settings file is not valid TOML: {error}",
            where=str(path),
            fix="mend that line; texts and dates stand in quotes, a key stands once",
        ) from None
    if path and not values:
        raise UsageFault(
            "the settings file is empty", where=str(path), fix="start from configs/sample.toml"
        )
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys):
        raise UsageFault(
            "not a setting", value=override, where="command line", fix="write section.key=value"
        )
    target = values
    for key in keys[:-1]:
        target = target.setdefault(key, {})
        if not isinstance(target, dict):
            raise UsageFault(
                f"{key} is a value, not a section", value=override, where="command line",
                fix="write section.key=value",
            )  # fmt: skip
    try:
        target[keys[-1]] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        target[keys[-1]] = text


def _explained(
    kind: type[Section], error: ValidationError, text: str, path: Path | None
) -> UsageFault:
    first = error.errors()[0]
    keys = [str(key) for key in first["loc"]]
    dotted = ".".join(keys) or kind.__name__
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    where = f"{path}:{_line(text, keys)}: {dotted}" if text and _line(text, keys) else dotted
    if first["type"] == "extra_forbidden":
        alike = near(keys[-1], _fields(kind, keys[:-1]), 1)
        hint = (
            f"did you mean {alike[0]!r}?"
            if alike
            else f"known: {', '.join(_fields(kind, keys[:-1]))}"
        )
        return UsageFault(f"unknown setting {dotted!r}{more}", where=where, fix=hint)
    value = None if first["type"] in {"missing", SECRET} else first["input"]
    message = first["msg"].removeprefix("Value error, ")
    return UsageFault(
        f"setting {dotted!r}: {message}{more}", value=value, where=where,
        fix=f"change {dotted}; `recsys settings --explain {dotted}` describes it",
    )  # fmt: skip


def _fields(kind: type[BaseModel], keys: list[str]) -> list[str]:
    """Names of the settings in the section that `keys` leads to; empty where it leads nowhere."""
    for key in keys:
        field = kind.model_fields.get(key)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        kind = annotation
    return sorted(kind.model_fields)


def _line(text: str, keys: list[str]) -> int | None:
    """The 1-based line where the last of `keys` is set, as far as a plain search can tell."""
    section = ".".join(keys[:-1])
    inside = not section
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[([^\]]+)\]", line)
        if header:
            if header[1].strip() == ".".join(keys):
                return number
            inside = header[1].strip() == section
        elif (inside and keys and re.match(rf"\s*{re.escape(keys[-1])}\s*=", line)) or re.match(
            rf"\s*{re.escape('.'.join(keys))}\s*=", line
        ):
            return number
    return None

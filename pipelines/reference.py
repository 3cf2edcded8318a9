"""`recsys init` and `recsys settings`: a settings file to begin with; what settings do."""

from pathlib import Path
from typing import Any

from pipelines.settings import Settings
from recsys import durable, reference
from recsys.errors import UsageFault, near
from recsys.reference import Entry
from recsys.serving.gates import GateSettings

HERE = Path(__file__).parent
CONFIGS = (HERE / "configs", HERE.parent / "configs")  # in a wheel, in a checkout
HEAD = """\
# Settings of recsys. What stands behind a # is as it comes: take the # away to change it.
# `recsys settings --explain train.epochs` says more of one; any can follow a command as
# section.key=value. Begin with `recsys check --config {name}`.

"""


def init(path: Path, data: str, work: Path, like: str = "") -> dict[str, Any]:
    """Writes a commented settings file.

    Args:
        path: of the file.
        data: the dataset folder, or its address.
        work: the folder for all that is made.
        like: name of a file that comes with the project, to be copied instead.

    Raises:
        UsageFault: the file is there already, or there is none to be like.
    """
    if path.exists():
        raise UsageFault(
            "the settings file is there already", value=str(path), where="init",
            fix="name another, or remove it",
        )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    if like:
        return _copy(path, like)
    chosen = {"work": str(work), "data.folder": data}
    text = HEAD.format(name=path.name) + reference.template(Settings, chosen)
    durable.replace_text(path, text)
    return {
        "text": f"{path}: {len(reference.entries(Settings))} settings, all but two commented out\n"
        f"now: recsys check --config {path}",
        "path": str(path),
    }


def _copy(path: Path, like: str) -> dict[str, Any]:
    folder = next(folder for folder in CONFIGS if folder.is_dir())
    known = sorted(file.stem for file in folder.glob("*.toml"))
    if like not in known:
        raise UsageFault(
            "no such settings", value=like, where="--like", fix=f"one of {', '.join(known)}"
        )
    durable.replace_text(path, (folder / f"{like}.toml").read_text(encoding="utf-8"))
    return {"text": f"{path}: as {like}", "path": str(path)}


def explain(settings: Settings, key: str) -> dict[str, Any]:
    """A setting, or all of a section, with the value that it has now.

    Raises:
        UsageFault: there is no such setting; names near ones.
    """
    known = every()
    found = [entry for entry in known if entry.key == key or entry.key.startswith(f"{key}.")]
    if not key:
        found = known
    if not found:
        names = {entry.key for entry in known} | set(reference.sections(Settings))
        names |= {name.rpartition(".")[2] for name in names}
        hints = [
            name if "." in name else next(k for k in sorted(names) if k.endswith(f".{name}"))
            for name in near(key, sorted(names))
        ]
        raise UsageFault(
            "no such setting", value=key, where="--explain",
            fix=f"did you mean {', '.join(dict.fromkeys(hints))}?" if hints
            else "`recsys settings` lists them all",
        )  # fmt: skip
    rows = [_row(settings, entry) for entry in found]
    return {"text": "\n".join(map(_told, rows)), "settings": rows}


def every() -> list[Entry]:
    """Every setting; the gates of `gates.rules` by name."""
    found = []
    for entry in reference.entries(Settings):
        found.append(entry)
        if entry.key != "gates.rules":
            continue
        for name, rule in GateSettings().table().items():
            limits = {"on": rule.on, "warn": rule.warn, "fail": rule.fail}
            found += [
                Entry(f"gates.rules.{name}.{part}", rule.means, "limit" if part != "on" else
                      "true or false", reference.toml(value))
                for part, value in limits.items()
            ]  # fmt: skip
    return found


def _row(settings: Settings, entry: Entry) -> dict[str, str]:
    value: Any = settings
    for name in entry.key.split("."):
        if isinstance(value, GateSettings) and name == "rules":
            value = value.table()
        else:
            value = value[name] if isinstance(value, dict) else getattr(value, name)
    if entry.key == "gates.rules":
        value = settings.gates.model_dump()["rules"]
    if entry.key == "data.folder":
        value = settings.data.given
    return {
        "key": entry.key, "value": reference.toml(value), "default": entry.default,
        "may_be": entry.kind, "about": entry.about,
    }  # fmt: skip


def _told(row: dict[str, str]) -> str:
    value, default = row["value"] or "unset", row["default"] or "unset"
    changed = f" (default {default})" if value != default else ""
    return f"{row['key']} = {value}{changed}\n    {row['about']}; {row['may_be']}"

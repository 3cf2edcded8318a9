"""What no module may contain (docs/security.md), read from every file's syntax tree."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from recsys import offline

ROOT = Path(__file__).parents[2]
FILES = sorted(path for top in ("recsys", "pipelines") for path in (ROOT / top).rglob("*.py"))
TEMPLATES = sorted(
    path for end in ("*.j2", "*.js", "*.css", "*.svg") for path in (ROOT / "pipelines").rglob(end)
) + sorted((ROOT / "recsys").rglob("*.j2"))

# Modules that run what they read (S1, S12), parse unbounded markup (S5), or speak to others (S4).
MODULES = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml",
    "torch.distributed.checkpoint", "torch.hub", "torch.distributed.rpc",
    "multiprocessing.connection",
    "requests", "httpx", "aiohttp", "urllib.request", "urllib3", "http.client", "http.server",
    "ftplib", "smtplib", "socket", "socketserver", "xmlrpc", "xml", "lxml", "tarfile", "pty",
    "huggingface_hub",
}  # fmt: skip
NAMES = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system", "os.popen", "torch.load", "torch.save", "torch.jit.load", "tempfile.mktemp",
    "os.chmod", "os.umask", "jinja2.Template", "markupsafe.Markup",
}  # fmt: skip
METHODS = {
    "chmod", "extractall", "load_model", "unsafe_load", "all_gather_object", "gather_object",
    "broadcast_object_list", "scatter_object_list", "send_object_list", "recv_object_list",
}  # fmt: skip
KEYWORDS = {
    ("weights_only", False), ("allow_pickle", True), ("trust_remote_code", True), ("shell", True),
    ("use_safetensors", False), ("autoescape", False), ("verify", False),
}  # fmt: skip
# Calls that are safe only with these arguments written out.
REQUIRED = {
    "np.load": ("allow_pickle", False), "np.save": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False), "jinja2.Environment": ("autoescape", True),
}  # fmt: skip
# SQLite takes no parameters for names: these are quoted by the module's `_quoted`.
SPLICED_NAMES = {"table", "column", "_quoted(table)"}
# The one module that opens an address, because somebody asked for it and named the host.
ASKED = {
    "pipelines/fetch_images.py": {
        "import urllib.request", "import http.client", "import http.client.HTTPException",
    }
}  # fmt: skip
QUIET_FIRST = {"mlflow", "ray", "transformers", "timm", "peft"}  # ask the network, else


def called(node: ast.expr) -> str:
    """`a.b.c` of the expression that is called, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def literal(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else ...


def of_import(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module, *(f"{node.module}.{name}" for name in names)]
    return [f"import {name}" for name in names
            if any(name == bad or name.startswith(f"{bad}.") for bad in MODULES)]  # fmt: skip


def of_call(node: ast.Call) -> list[str]:
    name, method = called(node.func), getattr(node.func, "attr", "")
    given = {word.arg: literal(word.value) for word in node.keywords}
    found = [name] if name in NAMES | CALLS or name.startswith(("os.exec", "os.spawn")) else []
    found += [method] if method in METHODS else []
    found += [f"{key}={value}" for key, value in KEYWORDS if given.get(key, ...) is value]
    if name in REQUIRED and given.get(REQUIRED[name][0], ...) is not REQUIRED[name][1]:
        found.append(f"{name} without {REQUIRED[name]}")
    if method == "from_pretrained" and given.get("trust_remote_code", ...) is not False:
        found.append("from_pretrained without trust_remote_code=False")
    if name.startswith("subprocess.") and not (node.args and isinstance(node.args[0], ast.List)):
        found.append("subprocess of something other than a written list")
    executes = method in {"execute", "executemany", "executescript"} and node.args
    if executes and spliced(node.args[0]):
        found.append("SQL put together from text")
    return found


def spliced(text: ast.expr) -> bool:
    """Whether a statement is put together from values, other than by psycopg's own composition."""
    if isinstance(text, ast.Call):
        return getattr(text.func, "attr", "") == "format" and "sql.SQL(" not in ast.unparse(text)
    if isinstance(text, ast.JoinedStr):
        values = [one.value for one in text.values if isinstance(one, ast.FormattedValue)]
        return not {ast.unparse(value) for value in values} <= SPLICED_NAMES
    return isinstance(text, ast.BinOp)


def wrong(source: str) -> list[str]:
    """What a module contains that none may, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [f"{node.lineno}: {what}" for what in of_import(node)]
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {what}" for what in of_call(node)]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            found += loud(node)
    return found


def loud(scope: ast.FunctionDef | ast.AsyncFunctionDef | ast.Module) -> list[str]:
    """Imports in a function, or above all, of what must be told to stay offline before."""
    told, found = False, []
    inside = [scope] if isinstance(scope, ast.Module) else list(ast.walk(scope))
    statements = [node for one in inside for node in ast.iter_child_nodes(one)]
    for node in sorted(statements, key=lambda node: getattr(node, "lineno", 0)):
        told |= isinstance(node, ast.Expr) and ast.unparse(node) == "stay_offline()"
        if isinstance(node, ast.Import | ast.ImportFrom) and not told:
            module = getattr(node, "module", None) or node.names[0].name
            if module.partition(".")[0] in QUIET_FIRST:
                found.append(f"{node.lineno}: {module} before stay_offline()")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_can_run_data_or_reach_out(path: Path) -> None:
    allowed = ASKED.get(str(path.relative_to(ROOT)), set())
    assert [what for what in wrong(path.read_text()) if what.split(": ")[1] not in allowed] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from torch.distributed import checkpoint", "eval(x)", "exec(x)",
        "import torch.distributed.checkpoint as dcp", "def f():\n    from urllib import request",
        "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "import yaml",
        "np.load(f, allow_pickle=True)", "AutoModel.from_pretrained(m)", "os.system('ls')",
        "AutoModel.from_pretrained(m, trust_remote_code=True)", "mlflow.pyfunc.load_model(m)",
        "subprocess.run('ls', shell=True)", "subprocess.run(command)", "tempfile.mktemp()",
        "jinja2.Environment(loader=x)", "path.chmod(0o777)", "distributed.all_gather_object(a, b)",
        "c.execute(f'SELECT {x}')", "c.execute('SELECT ' + x)", "c.execute('SELECT {}'.format(x))",
        "def f():\n    import mlflow", "import ray", "archive.extractall(x)",
    ],
)  # fmt: skip
def test_each_of_them_is_found(line: str) -> None:
    assert wrong(line)


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()", "re.compile(x)", "np.load(f, allow_pickle=False)", "import torch",
        "subprocess.run(['ls', x])", "c.execute('SELECT %s', [x])",
        "c.execute(sql.SQL('DROP {}').format(sql.Identifier(x)))",
        "def f():\n    stay_offline()\n    import mlflow",
    ],
)  # fmt: skip
def test_nothing_else_is(line: str) -> None:
    assert not wrong(line)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_pages_hold_no_way_out(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/", "")  # names of namespaces
    assert not re.search(r"\|\s*safe\b|autoescape|https?://|@import|\bon\w+\s*=\s*[\"']", text)
    assert not re.search(r"\beval\(|new Function|document\.write|javascript:", text)


def test_libraries_are_told_to_stay_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in offline.QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # somebody decided
    offline.stay_offline()
    import os

    assert {name: os.environ[name] for name in offline.QUIET} == {
        **offline.QUIET, "HF_HUB_OFFLINE": "0",
    }  # fmt: skip


def test_known_holes_of_libraries_are_left_behind() -> None:
    """The lowest versions that pip may choose are newer than these (S16)."""
    mended = {"torch": (2, 6), "pillow": (12, 3), "pyarrow": (14, 0, 1), "mlflow": (3, 17)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = dict(re.fullmatch(r"([\w-]+)>=([\d.]+).*", line).groups()
                  for line in project["dependencies"] if ">=" in line)  # fmt: skip
    for name, version in mended.items():
        assert tuple(map(int, lowest[name].split("."))) >= version, name

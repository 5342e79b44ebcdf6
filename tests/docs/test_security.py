"""The package uses nothing that SECURITY.md rules out; checked on its syntax trees."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dropexp"
MODULES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}

# Full names that must not be used; a "*" at the end matches any rest.
FORBIDDEN = (
    *(
        "eval",
        "exec",
        "compile",
        "__import__",
        "builtins.*",
        "runpy.*",
        "importlib.import_module",
    ),  # run text
    *("pickle.*", "_pickle.*", "marshal.*", "shelve.*", "dill.*", "cloudpickle.*", "joblib.*", "pandas.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.full_load*", "yaml.unsafe_load*"),
    *("yaml.Loader", "yaml.FullLoader", "yaml.UnsafeLoader", "yaml.CLoader"),
    *("os.system", "os.popen", "os.exec*", "os.spawn*", "os.posix_spawn*", "subprocess.getoutput", "pty.*"),
    *("subprocess.getstatusoutput", "asyncio.create_subprocess_shell"),
    *("tempfile.mktemp", "os.tempnam", "os.chmod", "os.umask", "tarfile.*", "zipfile.*", "shutil.unpack_archive"),
    *("urllib.request.*", "http.client.*", "socket.*", "ssl.*", "ftplib.*", "requests.*"),
    *("torch.hub.*", "torch.jit.load", "torch.package.*"),
    *("markupsafe.Markup",),
)
# Keywords that every call must have.
REQUIRED = {"torch.load": ("weights_only", True)}
FIXED = {"shell": False, "allow_pickle": False}  # keywords that no call can have with another value

EXCEPTIONS = {
    ("config/plugins.py", "runpy.run_path"): "a plugin is a program that the user names by --plugin and trusts",
    ("__init__.py", "importlib.import_module"): "modules of this package, when a notebook first uses one",
    ("report/trackers/rows.py", "importlib.import_module"): "optional packages, with names from a constant",
    ("training/cluster/connect.py", "socket"): "tests whether anything listens at the address of --ray",
    ("training/cluster/connect.py", "socket.create_connection"): "the same",
    ("data/download.py", "urllib.request.urlopen"): "the download, which is checked by SHA-256",
    ("data/download.py", "http.client.HTTPException"): "an exception of downloads",
    ("runs/predictions.py", "zipfile"): "reads the sizes that an .npz claims to have; extracts nothing",
    ("runs/predictions.py", "zipfile.ZipFile"): "the same",
    ("report/page/page.py", "markupsafe.Markup"): "our own scripts: Vega, and JSON that cannot close an element",
}


def faults(source: str) -> set[str]:
    """Return the full names that a source uses and must not."""
    tree = ast.parse(source)
    imported: dict[str, str] = {}  # full names by local names
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {(alias.asname or alias.name.split(".")[0]): _module(alias) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found |= {name for name in imported.values() if _is_forbidden(name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and _is_forbidden(name := _name(node, imported)):
            found.add(name)
        if isinstance(node, ast.Call):
            keywords = {word.arg: getattr(word.value, "value", None) for word in node.keywords if word.arg}
            called = _name(node.func, imported)
            word, value = REQUIRED.get(called, ("", True))
            if called in REQUIRED and keywords.get(word) is not value:
                found.add(called)
            found |= {f"{called}({word}=…)" for word, only in FIXED.items() if keywords.get(word, only) is not only}
    return found


def _module(alias: ast.alias) -> str:
    return alias.name if alias.asname else alias.name.split(".")[0]


def _name(node: ast.expr, imported: dict[str, str]) -> str:
    """Return the full name, such as os.path.join for `join` after `from os.path import join`."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, imported)}.{node.attr}"
    return imported.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _is_forbidden(name: str) -> bool:
    return any(
        name.startswith(banned[:-1]) or name == banned.removesuffix(".*") if banned.endswith("*") else name == banned
        for banned in FORBIDDEN
    )


@pytest.mark.parametrize("module", MODULES)
def test_a_module_uses_nothing_forbidden(module: str) -> None:
    named = {name for path, name in EXCEPTIONS if path == module}
    modules = {name.rpartition(".")[0] for name in named}
    assert faults(MODULES[module]) - named - modules == set()


def test_every_exception_is_still_needed() -> None:
    assert all(name in faults(MODULES[module]) for module, name in EXCEPTIONS)


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle",
        "from pickle import loads as read",
        "import os\nos.system('x')",
        "from os import system\nsystem('x')",
        "import os as o\nrun = o.execv",
        "import subprocess\nsubprocess.run('x', shell=True)",
        "import subprocess as s\nyes = True\ns.Popen('x', shell=yes)",
        "import yaml\nyaml.load('x', yaml.SafeLoader)",
        "import yaml\nclass L(yaml.FullLoader): pass",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\ntorch.hub.load('x', 'y')",
        "from torch import hub",
        "import torch\ntorch.jit.load('x')",
        "from torch.package import PackageImporter",
        "import torch.package\ntorch.package.PackageImporter('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import tempfile\ntempfile.mktemp()",
        "import runpy\nrunpy.run_module('x')",
        "import urllib.request\nurllib.request.urlopen('x')",
        "from markupsafe import Markup",
        "__import__('os')",
    ],
)
def test_a_forbidden_use_is_found(source: str) -> None:
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "network.eval()",
        "import re\nre.compile('x')",
        "import yaml\nyaml.safe_load('x')",
        "import torch\ntorch.load('x', weights_only=True)",
        "import subprocess\nsubprocess.run(['git'])",
    ],
)
def test_an_allowed_use_is_not_found(source: str) -> None:
    assert not faults(source)

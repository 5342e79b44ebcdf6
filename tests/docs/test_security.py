"""What the package never does, found by walking its source; SECURITY.md promises it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dropexp"
ROOMS = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}

# Names that are not to be used, with their modules; "*" ends what a name only begins with.
FORBIDDEN = (
    *("eval", "exec", "compile", "__import__", "builtins.*", "runpy.*", "importlib.import_module"),  # run text
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
# What must be said at every call of these.
REQUIRED = {"torch.load": ("weights_only", True)}
NOT_SAID = {"shell": False, "allow_pickle": False}  # options that nothing is to set otherwise

EXCEPTIONS = {
    ("config/plugins.py", "runpy.run_path"): "a plugin is a program that the user names by --plugin, and trusts",
    ("__init__.py", "importlib.import_module"): "our own rooms, when a notebook first asks for one",
    ("report/export.py", "importlib.import_module"): "optional packages, whose names stand there",
    (
        "training/cluster/connect.py",
        "socket",
    ): "whether anything listens at the address of --ray",
    ("training/cluster/connect.py", "socket.create_connection"): "the same",
    (
        "data/download.py",
        "urllib.request.urlopen",
    ): "the download, whose SHA-256 is checked",
    ("data/download.py", "http.client.HTTPException"): "what a download may raise",
    ("report/html.py", "markupsafe.Markup"): "our own scripts: Vega's, and JSON in which no element can end",
}


def faults(source: str) -> set[str]:
    """What a source does that it should not, each by its full name."""
    tree = ast.parse(source)
    meant: dict[str, str] = {}  # what a name stands for here
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            meant |= {(alias.asname or alias.name.split(".")[0]): _module(alias) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            meant |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found |= {name for name in meant.values() if _is_forbidden(name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and _is_forbidden(name := _name(node, meant)):
            found.add(name)
        if isinstance(node, ast.Call):
            said = {word.arg: getattr(word.value, "value", None) for word in node.keywords if word.arg}
            called = _name(node.func, meant)
            word, value = REQUIRED.get(called, ("", True))
            if called in REQUIRED and said.get(word) is not value:
                found.add(called)
            found |= {f"{called}({word}=…)" for word, only in NOT_SAID.items() if said.get(word, only) is not only}
    return found


def _module(alias: ast.alias) -> str:
    return alias.name if alias.asname else alias.name.split(".")[0]


def _name(node: ast.expr, meant: dict[str, str]) -> str:
    """os.path.join of a node that says join, after `from os.path import join`."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, meant)}.{node.attr}"
    return meant.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _is_forbidden(name: str) -> bool:
    return any(
        name.startswith(wrong[:-1]) or name == wrong.removesuffix(".*") if wrong.endswith("*") else name == wrong
        for wrong in FORBIDDEN
    )


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_does_what_is_not_to_be_done(room: str) -> None:
    named = {name for place, name in EXCEPTIONS if place == room}
    modules = {name.rpartition(".")[0] for name in named}
    assert faults(ROOMS[room]) - named - modules == set()


def test_every_exception_is_still_one() -> None:
    assert all(name in faults(ROOMS[room]) for room, name in EXCEPTIONS)


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
def test_each_of_these_would_be_found(source: str) -> None:
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
def test_none_of_these_would_be_found(source: str) -> None:
    assert not faults(source)

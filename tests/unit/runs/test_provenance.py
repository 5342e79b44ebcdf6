"""Where a run's numbers come from."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dropexp.runs.provenance import _git, cores, provenance


def test_it_names_versions_and_machine() -> None:
    found = provenance()
    assert list(found) == ["dropexp", "python", "torch", "platform", "cpu", "commit", "dirty"]
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert re.match(r"\d+\.\d+", found["dropexp"])
    assert found["cpu"].endswith(f", {cores()} cores")
    assert json.loads(json.dumps(found)) == found


def test_it_imports_no_torch() -> None:
    program = "import sys; from dropexp.runs.provenance import provenance; provenance(); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its processors")
def test_only_the_processors_that_may_be_used_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from dropexp.runs.provenance import cores; print(cores())"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "1\n"


NOWHERE = {"commit": None, "dirty": None}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one committed package."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    git(tmp_path, "init")
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("")
    assert _git(tmp_path) == NOWHERE


def test_a_checkout_has_its_commit(checkout: Path) -> None:
    assert _git(checkout / "package") == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_a_change_in_the_package_is_dirty(checkout: Path, name: str) -> None:
    (checkout / "package" / name).write_text("changed = True\n")
    assert _git(checkout / "package")["dirty"] is True


def test_a_change_beside_the_package_is_not(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("")
    assert _git(checkout / "package")["dirty"] is False


def test_a_package_that_is_installed_inside_anothers_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert _git(installed) == NOWHERE


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert _git(checkout / "package") == NOWHERE

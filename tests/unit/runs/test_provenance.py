"""Provenance: the versions, machine and commit that a run records."""

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


def test_provenance_has_versions_machine_and_commit() -> None:
    found = provenance()
    assert list(found) == ["dropexp", "python", "torch", "platform", "cpu", "commit", "dirty"]
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert re.match(r"\d+\.\d+", found["dropexp"])
    assert found["cpu"].endswith(f", {cores()} cores")
    assert json.loads(json.dumps(found)) == found


def test_provenance_does_not_import_torch() -> None:
    program = "import sys; from dropexp.runs.provenance import provenance; provenance(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its processors")
def test_only_processors_that_the_process_may_use_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from dropexp.runs.provenance import cores; print(cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


NO_COMMIT = {"commit": None, "dirty": None}


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
    assert _git(tmp_path) == NO_COMMIT


def test_a_checkout_has_its_commit(checkout: Path) -> None:
    assert _git(checkout / "package") == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_a_change_in_the_package_is_dirty(checkout: Path, name: str) -> None:
    (checkout / "package" / name).write_text("changed = True\n")
    assert _git(checkout / "package")["dirty"] is True


def test_a_change_outside_the_package_is_not_dirty(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("")
    assert _git(checkout / "package")["dirty"] is False


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert _git(installed) == NO_COMMIT


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert _git(checkout / "package") == NO_COMMIT

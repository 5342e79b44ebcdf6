"""The Makefile in a checkout that was moved: its environment is installed again, with a message."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name, the Makefile, and an environment that counts as installed."""
    folder = tmp_path / "my checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("installed", "installed-dev"):
        (folder / ".venv" / name).touch()
    return folder


def planned(checkout: Path, interpreter: str) -> str:
    """Return what `make lint` would do if the scripts in .venv have this first line."""
    (checkout / ".venv" / "bin" / "pip").write_text(f"#!{interpreter}\nimport pip\n")
    return subprocess.run(["make", "-n", "lint"], cwd=checkout, capture_output=True, text=True, check=True).stdout


def test_an_environment_of_another_folder_is_installed_again(checkout: Path) -> None:
    lines = planned(checkout, "/old/checkout/.venv/bin/python")
    assert "this checkout was moved or copied" in lines
    assert lines.index("rm -rf .venv") < lines.index("-m venv .venv") < lines.index("'.[dev]'") < lines.index("ruff")


def test_an_environment_of_this_folder_is_used(checkout: Path) -> None:
    lines = planned(checkout, f'/bin/sh\n\'\'\'exec\' "{checkout}/.venv/bin/python" "$0" "$@"')
    assert "rm -rf" not in lines and "-m venv" not in lines

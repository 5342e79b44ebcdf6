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

from dropexp.cpu_cores import cores
from dropexp.runs import provenance as module
from dropexp.runs.provenance import GIT_REPOSITORY, _commit_of, is_other_host, provenance, this_host


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_without_a_description_the_processor_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **options: object) -> str:
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(Path, "read_text", refused)
    assert module._processor() == "unknown"


HERE, OTHER = {"name": "here", "boot": "1"}, {"name": "there", "boot": "2"}


@pytest.mark.parametrize(
    ("host", "other"),
    [
        (HERE, False),
        (OTHER, True),
        ({"name": "container", "boot": "1"}, False),
        ({"name": "here", "boot": "2"}, False),  # restarted since
        ({"name": "there", "boot": ""}, True),
        (None, False),  # of an earlier version
        ("there", False),
    ],
)
def test_a_machine_is_known_by_its_name_and_its_boot(
    host: object, other: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "this_host", lambda: HERE)
    assert is_other_host(host) is other


def test_this_machine_is_not_another_one() -> None:
    assert not is_other_host(this_host())


NO_COMMIT = (None, None, None)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    env = {key: value for key, value in os.environ.items() if key not in GIT_REPOSITORY}  # the tests may run in a hook
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.strip()


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
    assert _commit_of(tmp_path) == NO_COMMIT


def test_a_checkout_has_its_commit(checkout: Path) -> None:
    assert _commit_of(checkout / "package") == (git(checkout, "rev-parse", "HEAD"), False, None)


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_a_change_in_the_package_is_dirty(checkout: Path, name: str) -> None:
    (checkout / "package" / name).write_text("changed = True\n")
    assert _commit_of(checkout / "package")[1] is True


def test_a_change_outside_the_package_is_not_dirty(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("")
    assert _commit_of(checkout / "package")[1] is False


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert _commit_of(installed) == NO_COMMIT


@pytest.mark.parametrize("repository", ["other/.git", "missing"])
def test_in_a_hook_of_another_repository_the_commit_is_still_that_of_the_checkout(
    repository: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "other").mkdir()
    git(checkout / "other", "init")
    head = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(checkout / repository))
    assert _commit_of(checkout / "package") == (head, False, None)


def test_without_git_there_is_no_commit_and_the_reason_is_known(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    commit, dirty, reason = _commit_of(checkout / "package")
    assert (commit, dirty) == (None, None)
    assert "git" in str(reason)


def test_if_git_refuses_a_checkout_its_reason_is_known(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    commit, dirty, reason = _commit_of(checkout / "package")
    assert (commit, dirty) == (None, None)
    assert str(reason).startswith("git: detected dubious ownership in repository at ")


def test_a_checkout_that_the_environment_declares_safe_has_its_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    others = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for name, value in (settings | others).items():
        monkeypatch.setenv(name, value)
    assert _commit_of(checkout / "package") == (head, False, None)

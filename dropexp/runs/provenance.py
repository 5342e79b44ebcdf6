"""Where a run's numbers come from: versions, machine, source."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dropexp.cpu_cores import cores

_PACKAGE = Path(__file__).parents[1]
# git sets them in a hook, for the repository of the hook. GIT_CONFIG_COUNT stays: it can hold a user's safe.directory.
GIT_REPOSITORY = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE"),
}
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux: the same in all containers of a machine


@cache
def provenance() -> dict[str, Any]:
    """Return versions, system, processor, and the commit of a source checkout, without importing torch."""
    commit, dirty, _ = _commit_of(_PACKAGE)
    return {
        "dropexp": version_of("dropexp"),
        "python": platform.python_version(),
        "torch": version_of("torch"),
        "platform": platform.platform(),
        "cpu": f"{_processor()}, {cores()} cores",
        "commit": commit,
        "dirty": dirty,
    }


def version_of(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def missing_commit() -> str | None:
    """Return why runs of a source checkout are recorded without its commit; None if they have it or need none."""
    return _commit_of(_PACKAGE)[2]


def this_host() -> dict[str, str]:
    """Return what identifies this machine while it trains a run: its name, and its current boot where that is known."""
    try:
        boot = _BOOT.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        boot = ""
    return {"name": platform.node(), "boot": boot}


def is_other_host(host: Any) -> bool:
    """Return whether a run was started on another machine, as far as that is known."""
    if not isinstance(host, dict) or not isinstance(host.get("name"), str):
        return False
    here = this_host()
    return bool(host["name"] != here["name"] and (not here["boot"] or host.get("boot") != here["boot"]))


def _processor() -> str:
    """Return the processor's model."""
    if sys.platform != "linux":
        return platform.processor() or platform.machine() or "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # in some containers
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def _commit_of(folder: Path) -> tuple[str | None, bool | None, str | None]:
    """Return the commit of the checkout that tracks `folder`, whether files in it were changed, and git's error."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        own = {key: value for key, value in os.environ.items() if key not in GIT_REPOSITORY} | {"LC_ALL": "C"}
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=own).stdout

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # installed inside another project's checkout: not ours
        return git("rev-parse", "HEAD").strip(), bool(git("status", "--porcelain", "--", ".").strip()), None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"it exited with {error.returncode}"])[0]
        is_expected = error.returncode == 1 or "not a git repository" in reason
        return None, None, None if is_expected else f"git: {reason.removeprefix('fatal: ')}"
    except (OSError, subprocess.SubprocessError) as error:
        is_checkout = (folder.parent / ".git").exists()
        return None, None, str(error) if is_checkout else None

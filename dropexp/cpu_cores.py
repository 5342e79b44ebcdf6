"""How many processor cores this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def cores() -> int:
    """Return the number of cores that this process may use: its affinity, and the quota of its container."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()  # Linux
    count = len(own) or os.cpu_count() or 1
    return max(1, min([count, *map(math.ceil, quotas())]))


def quotas(root: Path = Path("/")) -> list[float]:
    """Return the CPU quotas, in cores, of this process's control groups on Linux, of versions 1 and 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") > 1):
        mounts = {"", "unified"} if not controllers else {"cpu", controllers}
        if not controllers or "cpu" in controllers.split(","):
            for folder in (one for name in mounts for one in _with_parents(root / "sys/fs/cgroup" / name, group)):
                with suppress(OSError, ValueError, ZeroDivisionError):
                    found.append(_quota(folder, version=1 if controllers else 2))
    return [quota for quota in found if quota > 0]


def _with_parents(mounted: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a control group and of all above it; in a container, its own group may be the topmost."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for end in range(len(parts), -1, -1):
        yield mounted.joinpath(*parts[:end])


def _quota(folder: Path, version: int) -> float:
    """Return the quota of one control group. Raises OSError or ValueError if it has none."""
    if version == 2:
        quota, period = (folder / "cpu.max").read_text().split()  # "max 100000" without a quota: ValueError
    else:
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))  # -1: none
    return int(quota) / int(period)

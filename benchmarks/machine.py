"""The machine and the software that a benchmark ran on."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any

from dropexp.cpu_cores import cores
from dropexp.runs.provenance import provenance, version_of

PACKAGES = ("dropexp", "torch", "torchvision", "lightning", "keras", "jax", "jaxlib", "scikit-learn", "numpy")
FLAGS = {"AVX2": "avx2", "AVX-512": "avx512f", "AVX-512 bf16": "avx512_bf16", "AMX": "amx_tile"}


def about() -> dict[str, Any]:
    """Return date, processor, load average, system, commit and package versions. Call it before measuring."""
    known = provenance()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": known["cpu"],
        "flags": _flags(),
        "threads": cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "commit": known["commit"],
        "dirty": known["dirty"],
        "versions": {package: version_of(package) for package in PACKAGES},
    }


def _flags() -> dict[str, bool] | None:
    """Return which of the instruction sets in FLAGS the processor has, or None where there is no /proc/cpuinfo."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return None
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "").split()
    return {name: flag in flags for name, flag in FLAGS.items()}

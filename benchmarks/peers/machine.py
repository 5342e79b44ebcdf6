"""What the figures were taken with: processor, cores, versions, date."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dropexp.runs.provenance import cores, provenance

PACKAGES = ("dropexp", "torch", "torchvision", "lightning", "keras", "jax", "jaxlib", "scikit-learn", "numpy")
FLAGS = {"AVX2": "avx2", "AVX-512": "avx512f", "AVX-512 bf16": "avx512_bf16", "AMX": "amx_tile"}


def about() -> dict[str, Any]:
    """Facts of this run, as plain values."""
    known = provenance()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": known["cpu"],
        "flags": _flags(),
        "threads": cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,  # before anything is timed
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "commit": known["commit"],
        "dirty": known["dirty"],
        "versions": {package: _version(package) for package in PACKAGES},
    }


def _flags() -> dict[str, bool] | None:
    """Which instructions that matter here the processor has; None where Linux does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return None
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "").split()
    return {name: flag in flags for name, flag in FLAGS.items()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

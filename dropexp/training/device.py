"""Which device a run trains on, found without torch where that is possible."""

from __future__ import annotations

import ctypes
import os
import sys

from dropexp.errors import DeviceError
from dropexp.interrupts import delay_interrupts


def resolve(device: str) -> str:
    """The device that "auto" stands for, or the device itself once it is known to be there.

    "auto" is the first CUDA device, else the CPU; torch is imported only where there is a driver to ask for.
    Raises `DeviceError`.
    """
    kind, colon, index = device.partition(":")
    if device == "cpu" or (device == "auto" and not _cuda_driver()):
        return "cpu"
    if kind not in ("auto", "cuda", "mps") or (colon and (kind != "cuda" or not index.isdecimal())):
        raise DeviceError(f"device {device!r} is none of auto, cpu, cuda, cuda:N, mps")
    with delay_interrupts():
        import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if cuda else "cpu"
    there = [
        "cpu",
        *[f"cuda:{i}" for i in range(cuda)],
        *(["mps"] if torch.backends.mps.is_available() else []),
    ]
    if (kind == "cuda" and int(index or 0) >= cuda) or (kind == "mps" and "mps" not in there):
        raise DeviceError(f"device {device!r} is not there; this machine has {', '.join(there)}")
    return device


def kind(device: str) -> str:
    """The kind of a resolved device: cpu, cuda or mps."""
    return device.partition(":")[0]


def _cuda_driver() -> bool:
    """Whether an NVIDIA driver is installed; asking torch would cost its import."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True

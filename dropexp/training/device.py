"""The device that a run trains on. Torch is imported only where a GPU may be present."""

from __future__ import annotations

import ctypes
import os
import sys

from dropexp.did_you_mean import did_you_mean
from dropexp.errors import DeviceError
from dropexp.interrupts import import_torch

_CUDA = ("gpu", "gpu:0", "nvidia", "rocm")  # other words for it


def resolve(device: str) -> str:
    """Return the device that "auto" means here, or the given device after checking that it exists.

    "auto" is the first CUDA device, or the CPU if there is none. Raises DeviceError.
    """
    kind, colon, index = device.partition(":")
    if device == "cpu" or (device == "auto" and not _has_cuda_driver()):
        return "cpu"
    if kind not in ("auto", "cuda", "mps") or (colon and (kind != "cuda" or not index.isdecimal())):
        similar = " (did you mean 'cuda'?)" if device in _CUDA else did_you_mean(device, ("auto", "cpu", "cuda", "mps"))
        raise DeviceError(f"device {device!r} is not one of auto, cpu, cuda, cuda:N, mps{similar}")
    import_torch()
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if cuda else "cpu"
    present = ["cpu", *(f"cuda:{i}" for i in range(cuda))]
    if torch.backends.mps.is_available():
        present.append("mps")
    if (kind == "cuda" and int(index or 0) >= cuda) or (kind == "mps" and "mps" not in present):
        raise DeviceError(f"this machine has no device {device!r}; it has {', '.join(present)}")
    return device


def kind(device: str) -> str:
    """Return the kind of a resolved device: cpu, cuda or mps."""
    return device.partition(":")[0]


def _has_cuda_driver() -> bool:
    """Return whether an NVIDIA driver is installed and visible. A check by torch would require its import."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True

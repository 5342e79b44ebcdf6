"""The state of a training in its checkpoint: the network, the random streams, and what is kept of single epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def saved(folder: Path) -> dict[str, Any]:
    """Return the state of the run in this folder."""
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    return {part: checkpoint.get(part) for part in ("network", "order", "noise", "best", "predictions")}


def saved_below(runs: Path) -> dict[str, Any]:
    """Return the state of every run in this folder of studies, by the name of its folder."""
    return {path.parent.name: saved(path.parent) for path in runs.glob("*/*/checkpoint.pt")}


def same(one: Any, other: Any) -> bool:
    """Return whether both contain the same tensors, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)

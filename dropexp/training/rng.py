"""Independent random streams of a run: split, initialisation, batch order, noise, and those of some options."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """Return the generator of one stream ("split", "init", "order", "noise", …) of a run's seed.

    The seed of a generator depends on the run's seed and the stream's name only. Runs with equal seeds therefore have
    equal splits, initial parameters and batch orders, whatever their variant, so that they can be compared in pairs.
    """
    derived = hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]
    return torch.Generator(device).manual_seed(int.from_bytes(derived, "little", signed=True))

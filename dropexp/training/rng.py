"""Streams, not a seed: split, initialisation, batch order and noise each draw from a generator of their own."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """The generator of one stream ("split", "init", "order" or "noise") of a run's seed.

    The first three are equal for every variant, so that runs of one seed differ in the noise alone.
    """
    derived = hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]
    return torch.Generator(device).manual_seed(int.from_bytes(derived, "little", signed=True))

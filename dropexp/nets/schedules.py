"""Schedules: the learning rate by epoch, and the drop probability by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# (epoch from 1, number of epochs) → factor of the learning rate in that epoch
LrSchedule = Callable[[int, int], float]
LR_SCHEDULES: dict[str, LrSchedule] = {
    "constant": lambda epoch, epochs: 1.0,
    # 1/10 after half of the epochs, 1/100 after three quarters
    "step": lambda epoch, epochs: 0.1 ** ((epoch > epochs / 2) + (epoch > 3 * epochs / 4)),
    # cosine annealing from 1 towards 0, without restarts (Loshchilov and Hutter, 2017)
    "cosine": lambda epoch, epochs: (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2,
}

# (p of the config, completed fraction of the training, generator of the noise) → drop probability of a step
DropSchedule = Callable[[float, float, "torch.Generator"], float]


def early(fraction: float) -> DropSchedule:
    """Return a schedule of p for the first `fraction` of the training, then 0. (Liu et al., 2023)"""
    return lambda p, progress, generator: p if progress < fraction else 0.0


def linear_decay(fraction: float) -> DropSchedule:
    """Return a schedule that decays linearly from p to 0 over the first `fraction` of the training, then 0.

    Source: early dropout in the code of Liu et al. (2023), github.com/facebookresearch/dropout, `drop_scheduler`. There
    p is 0 at the last step of the early phase, here at the first step after it.
    """
    return lambda p, progress, generator: p * (1 - progress / fraction) if progress < fraction else 0.0


def late(fraction: float) -> DropSchedule:
    """Return a schedule of 0 for the first `fraction` of the training, then p. (Liu et al., 2023)"""
    return lambda p, progress, generator: 0.0 if progress < fraction else p


def curriculum(p: float, progress: float, generator: torch.Generator) -> float:
    """Increase the drop probability from 0 to p: keep(t) = (1 − keep)·e^(−10·t) + keep at progress t.

    (Morerio et al., 2017)
    """
    return p * -math.expm1(-10 * progress)


def random_rate(p: float, progress: float, generator: torch.Generator) -> float:
    """Sample p' ~ U(p − w/2, p + w/2) with w = min(p, 1 − p), independently for each batch and layer."""
    import torch

    width = min(p, 1 - p)
    return p + width * (torch.rand((), generator=generator, device=generator.device).item() - 0.5)

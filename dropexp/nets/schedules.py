"""What changes while a net trains: the learning rate by the epoch, drop probabilities by the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What the learning rate is multiplied by in an epoch, counted from 1, of so many.
LrSchedule = Callable[[int, int], float]
LR_SCHEDULES: dict[str, LrSchedule] = {
    "constant": lambda epoch, epochs: 1.0,
    # a tenth after half of the epochs, a hundredth after three quarters
    "step": lambda epoch, epochs: 0.1 ** ((epoch > epochs / 2) + (epoch > 3 * epochs / 4)),
    # from 1 down half a wave; 0 would be reached after the last epoch (Loshchilov and Hutter, 2017, without restarts)
    "cosine": lambda epoch, epochs: (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2,
}

# The drop probability of a step: of the p asked for, the share of the training that is over, and the run's noise.
DropSchedule = Callable[[float, float, "torch.Generator"], float]


def early(share: float) -> DropSchedule:
    """p for the first `share` of the training, then none. (Liu et al., 2023)"""
    return lambda p, progress, generator: p if progress < share else 0.0


def late(share: float) -> DropSchedule:
    """None for the first `share` of the training, then p. (Liu et al., 2023)"""
    return lambda p, progress, generator: 0.0 if progress < share else p


def curriculum(p: float, progress: float, generator: torch.Generator) -> float:
    """keep(t) = (1 − keep)·e^(−10·t) + keep, t the progress: from no dropout up to p. (Morerio et al., 2017)"""
    return p * -math.expm1(-10 * progress)


def random_rate(p: float, progress: float, generator: torch.Generator) -> float:
    """p' ~ U(p − w/2, p + w/2) with w = min(p, 1 − p), another for every batch and layer."""
    import torch

    width = min(p, 1 - p)
    return p + width * (torch.rand((), generator=generator, device=generator.device).item() - 0.5)

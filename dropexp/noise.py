"""Dropout as multiplicative noise: h' = ξ ⊙ h. One small object says how ξ is drawn.

Everywhere in this package p is the *drop* probability; sources that write p for the probability to keep
(Srivastava et al., 2014) are read accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Noise(Protocol):
    """Draws ξ for a layer's activations."""

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        """ξ in the shape, type and device of H; without a generator torch's global one draws."""
        ...


@dataclass(frozen=True)
class Inverted:
    """ξ = mask / keep with mask ~ Bernoulli(keep), keep = 1 − p; E[ξ] = 1, Var[ξ] = p / keep.

    p = 0 is the identity, p = 1 gives zeros. (Dive into Deep Learning, 3.13.1)
    """

    p: float

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        keep = 1 - self.p
        if keep == 0:
            return torch.zeros_like(H)
        mask = torch.rand(H.shape, generator=generator, device=H.device) < keep
        return mask.to(H.dtype) / keep


@dataclass(frozen=True)
class Randn2019:
    """ξ = mask / keep with mask = (z < keep), z ~ N(0, 1): the slip in the book's code until October 2019.

    The true keep rate is Φ(keep), 0.788 where 0.8 was meant and 0.691 where 0.5 was; E[ξ] = Φ(keep) / keep ≠ 1.
    """

    p: float

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        keep = 1 - self.p
        if keep == 0:
            return torch.zeros_like(H)
        mask = torch.randn(H.shape, generator=generator, device=H.device) < keep
        return mask.to(H.dtype) / keep

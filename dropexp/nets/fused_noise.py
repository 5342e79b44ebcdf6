"""How the fused step samples noise: masks by comparing random bits, other noise as in the reference implementation."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from dropexp.nets.noise import Mask, Noise

# grad_input = grad · (A > threshold): the kernel that autograd calls for a ReLU
threshold_backward = torch.ops.aten.threshold_backward.grad_input


class BitMask:
    """A noise with two values, sampled by comparing random integers of 8 or 16 bits with a threshold.

    One random 64-bit word gives eight integers if drop_prob·256 is a whole number and does not vary, otherwise four.
    The drop probability is rounded to a multiple of 1/65536: 0.2 becomes 13107/65536 = 0.199997, 0.5 is exact. Kept
    units are scaled by the exact p. ξ itself is never stored: the backward pass only needs H > 0, which is true where a
    unit was active and kept.
    """

    def __init__(self, noise: Mask, like: Tensor, drop_prob_varies: bool) -> None:
        integers, self.levels = torch.int16, 2**16
        if not drop_prob_varies and (noise.drop_prob * 2**8).is_integer():
            integers, self.levels = torch.int8, 2**8
        self.random = torch.empty_like(like[:1] if noise.shared else like)  # the integers, as floats
        count = self.random.numel()
        self.bits = like.new_empty(-(-count * integers.itemsize // 8), dtype=torch.int64)
        self.integers = self.bits.view(integers)[:count].view(self.random.shape)
        self.random_rows = self.random.expand_as(like)
        self.set_noise(noise)

    def set_noise(self, noise: Noise) -> None:
        """Use another noise of the same class, with another drop probability."""
        noise = cast(Mask, noise)
        self.scale = self.random.new_tensor(noise.scale)
        # the integers are signed, from −levels/2 to levels/2 − 1; those over the threshold are kept
        self.threshold = float(round(noise.drop_prob * self.levels) - self.levels // 2) - 0.5

    def sample(self, A: Tensor, H: Tensor, generator: torch.Generator) -> None:
        """Sample ξ and set H = ξ ⊙ A."""
        self.bits.random_(-(2**63), None, generator=generator)  # random_() without bounds never sets the highest bit
        self.random.copy_(self.integers)
        self.apply(A, H)

    def apply(self, A: Tensor, H: Tensor) -> None:
        """Set H = ξ ⊙ A with the last sample of ξ."""
        threshold_backward(A, self.random_rows, self.threshold, grad_input=H).mul_(self.scale)

    def backward(self, D: Tensor, active: Tensor, H: Tensor) -> None:
        """Turn D = ∂l/∂H into ∂l/∂Z, in place."""
        threshold_backward(D, H, 0, grad_input=D).mul_(self.scale)


class StoredNoise:
    """Any other noise: ξ is sampled by the noise itself and stored. The methods are those of `BitMask`."""

    xi: Tensor

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def set_noise(self, noise: Noise) -> None:
        self.noise = noise

    def sample(self, A: Tensor, H: Tensor, generator: torch.Generator) -> None:
        self.xi = self.noise.draw(A, generator)
        self.apply(A, H)

    def apply(self, A: Tensor, H: Tensor) -> None:
        torch.mul(self.xi, A, out=H)

    def backward(self, D: Tensor, active: Tensor, H: Tensor) -> None:
        """Turn D = ∂l/∂H into ∂l/∂Z, in place. `active` is positive where the ReLU was active."""
        threshold_backward(D.mul_(self.xi), active, 0, grad_input=D)


def sampler(noise: Noise, like: Tensor, *, drop_prob_varies: bool) -> BitMask | StoredNoise:
    """Return an object that samples `noise` in the shape of `like` (n, m)."""
    return BitMask(noise, like, drop_prob_varies) if isinstance(noise, Mask) else StoredNoise(noise)

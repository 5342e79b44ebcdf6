"""How the tuned step draws a noise: masks by random bits instead of random floats, any other noise as the page does."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from dropexp.nets.noise import Mask, Noise

# grad_input = grad · (A > threshold): what autograd calls for a ReLU
threshold_backward = torch.ops.aten.threshold_backward.grad_input


class BitMask:
    """A noise of two values, decided by random bits: eight to a decision where drop_prob·256 is whole, else sixteen.

    One 64-bit draw thus decides for eight or four units. The probability to drop is met to within 1/131072: 0.2 becomes
    13107/65536 = 0.199997, 0.5 is exact, and what is kept is scaled by the p that was asked for. ξ itself is never
    written: a unit that was active and kept is one whose H > 0, which is all that the way back has to know.
    """

    def __init__(self, noise: Mask, like: Tensor, changes: bool) -> None:
        lane, self.levels = (torch.int16, 2**16)
        if not changes and (noise.drop_prob * 2**8).is_integer():
            lane, self.levels = torch.int8, 2**8
        self.decisions = torch.empty_like(like[:1] if noise.shared else like)
        numbers = self.decisions.numel()
        self.bits = like.new_empty(-(-numbers * lane.itemsize // 8), dtype=torch.int64)
        self.lanes = self.bits.view(lane)[:numbers].view(self.decisions.shape)
        self.spread = self.decisions.expand_as(like)
        self.take(noise)

    def take(self, noise: Noise) -> None:
        """Decide by another mask of this kind from now on."""
        noise = cast(Mask, noise)
        self.scale = self.decisions.new_tensor(noise.scale)
        # lanes are signed, from −levels/2 to levels/2 − 1: those over the threshold are kept
        self.threshold = float(round(noise.drop_prob * self.levels) - self.levels // 2) - 0.5

    def drop(self, A: Tensor, H: Tensor, generator: torch.Generator) -> None:
        """H = ξ ⊙ A."""
        self.bits.random_(-(2**63), None, generator=generator)  # plain random_() leaves the highest bit 0
        self.decisions.copy_(self.lanes)
        self.times(A, H)

    def times(self, A: Tensor, H: Tensor) -> None:
        """H = ξ ⊙ A, with ξ as it was drawn last."""
        threshold_backward(A, self.spread, self.threshold, grad_input=H).mul_(self.scale)

    def backward(self, D: Tensor, active: Tensor, H: Tensor) -> None:
        """D, the gradient by H, becomes the gradient by Z."""
        threshold_backward(D, H, 0, grad_input=D).mul_(self.scale)


class Drawn:
    """Any other noise, drawn as the page draws it; its methods are those of `BitMask`."""

    xi: Tensor

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def take(self, noise: Noise) -> None:
        self.noise = noise

    def drop(self, A: Tensor, H: Tensor, generator: torch.Generator) -> None:
        self.xi = self.noise.draw(A, generator)
        self.times(A, H)

    def times(self, A: Tensor, H: Tensor) -> None:
        torch.mul(self.xi, A, out=H)

    def backward(self, D: Tensor, active: Tensor, H: Tensor) -> None:
        """`active`: what is over 0 where the ReLU let through."""
        threshold_backward(D.mul_(self.xi), active, 0, grad_input=D)


def draws(noise: Noise, like: Tensor, *, changes: bool) -> BitMask | Drawn:
    """What draws `noise` in the shape of `like` (n, m); `changes`: its drop probability will."""
    return BitMask(noise, like, changes) if isinstance(noise, Mask) else Drawn(noise)

"""The noise of a stack of runs: ξ for a block of steps, drawn before these are taken.

Each run draws by its own generator and only what its own noises need, for a fixed number of steps: what it draws does
not depend on the others or on their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from dropexp.nets import scratch
from dropexp.nets.noise import Gaussian, Mask, Noise, ThreePoint

LEVELS = 2**16  # of the lane of random bits that decides for a unit


class StackNoise:
    """ξ of R pages for so many steps on n rows each.

    xi[i] is on what layer i reads, (R, steps, n, num_inputs), or on its weights, (R, steps, num_inputs, num_outputs);
    where a run has no noise it is 1, and None where no run has. epsilon (R, steps, n, num_inputs) is what is added to
    the images, None if that is nothing. The pages' generators and noises are used as they are, and their drop
    probabilities set by their schedules.
    """

    def __init__(self, pages: Sequence[scratch.MLP], steps: int, n: int) -> None:
        self.pages = pages
        noisy = [page for page in pages if any(page.noises)]  # to others it means nothing
        self.placement = noisy[0].placement if noisy else "after"
        weights = [W for W, _ in pages[0].layers]
        new = weights[0].new_ones
        shapes = [tuple(W.shape) if self.placement == "weights" else (n, len(W)) for W in weights]
        self.xi = [  # in memory step by step, as they are read
            new(steps, len(pages), *shape).transpose(0, 1) if any(page.noises[i] for page in pages) else None
            for i, shape in enumerate(shapes)
        ]
        self.epsilon: Tensor | None = None
        if any(page.input_noise_std for page in pages):
            self.epsilon = new(len(pages), steps, n, len(weights[0])).zero_()

    def draw(self, progress: Sequence[float]) -> None:
        """The noise of the next steps, before each of which this share of the training is over."""
        for r, page in enumerate(self.pages):
            if self.epsilon is not None and page.input_noise_std:
                self.epsilon[r, : len(progress)].normal_(0, page.input_noise_std, generator=page.generator)
            noises = []  # of each step
            for share in progress:
                page.set_rates(share)
                noises.append(list(page.noises))
            for xi, of_layer in zip(self.xi, zip(*noises, strict=True), strict=True):
                if xi is not None and of_layer[0] is not None:
                    _draw(of_layer, xi[r, : len(progress)], page.generator)

    def of_step(self, k: int, n: int) -> list[Tensor | None]:
        """ξ of step k of the block for each layer, on the first n rows, (R, n, num_inputs), or on the weights."""
        return [None if xi is None else xi[:, k] if self.placement == "weights" else xi[:, k, :n] for xi in self.xi]

    def at_eval(self, i: int) -> Tensor | None:
        """What takes the place of ξ for layer i in eval mode, (R, 1, 1); None if that is 1 for all."""
        factors = [1.0 if (noise := page.noises[i]) is None else noise.at_eval for page in self.pages]
        like = self.pages[0].layers[0][0]
        return None if set(factors) == {1.0} else like.new_tensor(factors).view(-1, 1, 1)


def _draw(noises: Sequence[Noise], xi: Tensor, generator: torch.Generator) -> None:
    """ξ of each step by its noise, all of one kind, xi (steps, n, m): a mask by a lane of random bits for each unit."""
    first = noises[0]
    if isinstance(first, Mask):
        masks = cast(Sequence[Mask], noises)
        shape = xi[:, :1].shape if first.shared else xi.shape
        bits = torch.empty(-(-shape.numel() // 4), dtype=torch.int64, device=xi.device)
        bits.random_(-(2**63), None, generator=generator)  # plain random_() leaves the highest bit 0
        lanes = bits.view(torch.int16)[: shape.numel()].view(shape)  # signed; those under a threshold are dropped
        thresholds = [round(mask.drop_prob * LEVELS) - LEVELS // 2 - 0.5 for mask in masks]
        kept = (lanes > _of_steps(thresholds, xi)).expand_as(xi)
        torch.mul(kept, _of_steps([mask.scale for mask in masks], xi), out=xi)
    elif isinstance(first, Gaussian | ThreePoint) and len(set(noises)) == 1:
        xi.copy_(first.draw(xi, generator))
    else:  # one by one: their rates differ, or a plugin's noise may draw for all rows of its batch together
        for noise, of_step in zip(noises, xi, strict=True):
            of_step.copy_(noise.draw(of_step, generator))


def _of_steps(values: list[float], like: Tensor) -> Tensor | float:
    """One number for all steps, or (steps, 1, 1)."""
    return values[0] if len(set(values)) == 1 else like.new_tensor(values).view(-1, 1, 1)

"""The noise of a stack of runs: ξ for a block of steps, drawn before these are taken.

Each run draws by its own generator and only what its own noises need, for a fixed number of steps: what it draws does
not depend on the others or on their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from dropexp import scratch
from dropexp.noise import Gaussian, Mask, Noise, ThreePoint

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
        self.xi = [  # in memory step by step
            new(steps, len(pages), *shape).transpose(0, 1) if any(page.noises[i] for page in pages) else None
            for i, shape in enumerate(shapes)
        ]
        self.epsilon: Tensor | None = None
        if any(page.input_noise_std for page in pages):
            self.epsilon = new(len(pages), steps, n, len(weights[0])).zero_()

    def draw(self, progress: Sequence[float]) -> None:
        """The noise of the next steps, before each of which this share of the training is over."""
        noises: list[list[list[Noise | None]]] = []  # of each run, for each step and layer
        for r, page in enumerate(self.pages):
            if self.epsilon is not None and page.input_noise_std:
                self.epsilon[r, : len(progress)].normal_(0, page.input_noise_std, generator=page.generator)
            noises.append([])
            for share in progress:
                page.set_rates(share)
                noises[r].append(list(page.noises))
        generators = [page.generator for page in self.pages]
        for i, xi in enumerate(self.xi):
            if xi is not None:
                _draw([[of_step[i] for of_step in own] for own in noises], xi[:, : len(progress)], generators)

    def of_step(self, k: int, n: int) -> list[Tensor | None]:
        """ξ of step k of the block for each layer, on the first n rows, (R, n, num_inputs), or on the weights."""
        return [None if xi is None else xi[:, k] if self.placement == "weights" else xi[:, k, :n] for xi in self.xi]

    def at_eval(self, i: int) -> Tensor | None:
        """What takes the place of ξ for layer i in eval mode, (R, 1, 1); None if that is 1 for all."""
        factors = [1.0 if (noise := page.noises[i]) is None else noise.at_eval for page in self.pages]
        like = self.pages[0].layers[0][0]
        return None if set(factors) == {1.0} else like.new_tensor(factors).view(-1, 1, 1)


def _draw(noises: Sequence[Sequence[Noise | None]], xi: Tensor, generators: Sequence[torch.Generator]) -> None:
    """ξ (R, steps, n, m) of each run for each step by its noise; a run's are of one kind, or None and then stay 1.

    A mask is decided by a lane of random bits for each unit: drawn run by run, decided for all runs at once.
    """
    masks = [r for r, (first, *_) in enumerate(noises) if isinstance(first, Mask)]
    if masks:
        lanes = torch.empty(len(xi), -(-xi[0].numel() // 4) * 4, dtype=torch.int16, device=xi.device)
        for r in masks:
            _draw_lanes(lanes[r], cast(Mask, noises[r][0]).shared, xi[r].shape, generators[r])
        lanes = lanes[:, : xi[0].numel()].view(xi.shape)
        together = all(r in masks or noises[r][0] is None for r in range(len(xi)))
        for part in [slice(None)] if together else [slice(r, r + 1) for r in masks]:
            own = [[_decision(noise) for noise in of_run] for of_run in noises[part]]
            threshold, scale = xi.new_tensor(own).permute(2, 0, 1).unsqueeze(3).unsqueeze(3)
            torch.mul(lanes[part] > threshold, scale, out=xi[part])
    for of_run, of_xi, generator in zip(noises, xi, generators, strict=True):
        first = of_run[0]
        if first is None or isinstance(first, Mask):
            continue
        if isinstance(first, Gaussian | ThreePoint) and len(set(of_run)) == 1:
            of_xi.copy_(first.draw(of_xi, generator))
        else:  # one by one: their rates differ, or a plugin's noise may draw for all rows of its batch together
            for noise, of_step in zip(cast(Sequence[Noise], of_run), of_xi, strict=True):
                of_step.copy_(noise.draw(of_step, generator))


def _draw_lanes(lanes: Tensor, shared: bool, shape: torch.Size, generator: torch.Generator) -> None:
    """Sixteen random bits for each unit of `shape` (steps, n, m), one lane for all rows if it is shared."""
    if not shared:
        lanes.view(torch.int64).random_(-(2**63), None, generator=generator)  # plain random_() leaves the highest bit 0
        return
    steps, _, m = shape
    bits = torch.empty(-(-steps * m // 4), dtype=torch.int64, device=lanes.device)
    bits.random_(-(2**63), None, generator=generator)
    lanes[: shape.numel()].view(shape).copy_(bits.view(torch.int16)[: steps * m].view(steps, 1, m))


def _decision(noise: Noise | None) -> tuple[float, float]:
    """The threshold that a lane, signed, must be over for a unit to be kept; and what a kept one is scaled by."""
    if noise is None:
        return -math.inf, 1.0
    mask = cast(Mask, noise)
    return round(mask.drop_prob * LEVELS) - LEVELS // 2 - 0.5, mask.scale

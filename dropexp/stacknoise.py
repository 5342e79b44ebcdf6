"""The noise of a stack of runs: ξ for a block of steps, drawn before these are taken.

Each run draws by its own generator and only what its own noises need, for a fixed number of steps: what it draws does
not depend on the others or on their number.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from dropexp import scratch
from dropexp.noise import Mask, Noise

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
        self.on = next((page.on for page in pages if any(page.noises)), "after")  # without noise that means nothing
        weights = [W for W, _ in pages[0].layers]
        new = weights[0].new_ones
        shapes = [tuple(W.shape) if self.on == "weights" else (n, len(W)) for W in weights]
        self.xi = [
            new(len(pages), steps, *shape) if any(page.noises[i] for page in pages) else None
            for i, shape in enumerate(shapes)
        ]
        self.epsilon: Tensor | None = None
        if any(page.input_noise_std for page in pages):
            self.epsilon = new(len(pages), steps, n, len(weights[0])).zero_()

    def draw(self, done: Sequence[float]) -> None:
        """The noise of the next steps, before each of which this share of its training is done."""
        for r, page in enumerate(self.pages):
            if self.epsilon is not None and page.input_noise_std:
                self.epsilon[r, : len(done)].normal_(0, page.input_noise_std, generator=page.generator)
            noises = []  # of each step
            for share in done:
                page.set_rates(share)
                noises.append(list(page.noises))
            for xi, of_layer in zip(self.xi, zip(*noises, strict=True), strict=True):
                if xi is None or of_layer[0] is None:
                    continue
                start = 0
                for noise, alike in itertools.groupby(of_layer):  # all steps at once, but for a schedule
                    end = start + len(list(alike))
                    _draw(noise, xi[r, start:end], page.generator)
                    start = end

    def of_step(self, k: int, n: int) -> list[Tensor | None]:
        """ξ of step k of the block for each layer, on the first n rows, (R, n, num_inputs), or on the weights."""
        return [None if xi is None else xi[:, k] if self.on == "weights" else xi[:, k, :n] for xi in self.xi]

    def at_eval(self, i: int) -> Tensor | None:
        """What takes the place of ξ for layer i in eval mode, (R, 1, 1); None if that is 1 for all."""
        factors = [1.0 if (noise := page.noises[i]) is None else noise.at_eval for page in self.pages]
        like = self.pages[0].layers[0][0]
        return None if set(factors) == {1.0} else like.new_tensor(factors).view(-1, 1, 1)


def _draw(noise: Noise, xi: Tensor, generator: torch.Generator) -> None:
    """ξ of each step, xi (steps, n, m): a mask by a lane of random bits for each unit, any other noise as the page."""
    if not isinstance(noise, Mask):
        for of_step in xi:  # one by one: a noise may draw for all rows of its batch together
            of_step.copy_(noise.draw(of_step, generator))
        return
    shape = xi[:, :1].shape if noise.shared else xi.shape
    bits = torch.empty(-(-shape.numel() // 4), dtype=torch.int64, device=xi.device)
    bits.random_(-(2**63), None, generator=generator)  # plain random_() leaves the highest bit 0
    lanes = bits.view(torch.int16)[: shape.numel()].view(shape)
    threshold = round(noise.dropped * LEVELS) - LEVELS // 2 - 0.5  # lanes are signed; those under it are dropped
    xi.copy_(lanes > threshold).mul_(noise.kept)

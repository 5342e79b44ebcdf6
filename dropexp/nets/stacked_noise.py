"""The noise of a stack of runs: ξ for a block of steps, sampled before the steps are taken.

Each run samples from its own generator, and only what its own noises need. Blocks have the same number of steps in
every stack. So the noise of a run does not depend on which runs share the stack, nor on how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from dropexp.nets import from_scratch
from dropexp.nets.noise import Gaussian, Mask, Noise, ThreePoint

LEVELS = 2**16  # values of the random 16-bit integer that keeps or drops a unit


class StackNoise:
    """ξ of R networks for a block of at most `steps` steps on n rows each.

    xi[i] multiplies the input of layer i, (R, steps, n, num_inputs), or its weights, (R, steps, num_inputs,
    num_outputs). It is 1 for a run without noise there, and None if no run has noise there. `epsilon` (R, steps, n,
    num_inputs) is added to the images; None if no run adds noise. Sampling advances the networks' generators, and sets
    their drop probabilities by their schedules.
    """

    def __init__(self, networks: Sequence[from_scratch.MLP], steps: int, n: int) -> None:
        self.networks = networks
        noisy = [network for network in networks if any(network.noises)]
        self.placement = noisy[0].placement if noisy else "after"  # a network without noise may have another placement
        weights = [W for W, _ in networks[0].layers]
        new = weights[0].new_ones
        shapes = [tuple(W.shape) if self.placement == "weights" else (n, len(W)) for W in weights]
        self.xi = [  # in memory step by step, as it is read
            new(steps, len(networks), *shape).transpose(0, 1) if any(net.noises[i] for net in networks) else None
            for i, shape in enumerate(shapes)
        ]
        self.epsilon: Tensor | None = None
        if any(network.input_noise_std for network in networks):
            self.epsilon = new(len(networks), steps, n, len(weights[0])).zero_()

    def draw(self, progress: Sequence[float]) -> None:
        """Sample the noise of the next steps. `progress` has the completed fraction of the training before each."""
        for r, network in enumerate(self.networks):
            if self.epsilon is not None and network.input_noise_std:
                epsilon = self.epsilon[r, : len(progress)]
                epsilon.normal_(0, network.input_noise_std, generator=network.generator)
            noises = []  # by step, then by layer
            for fraction in progress:
                network.set_drop_probs(fraction)
                noises.append(list(network.noises))
            for xi, layer_noises in zip(self.xi, zip(*noises, strict=True), strict=True):
                if xi is not None and layer_noises[0] is not None:
                    _draw(layer_noises, xi[r, : len(progress)], network.generator)

    def of_step(self, k: int, n: int) -> list[Tensor | None]:
        """Return ξ of step k for each layer: on the first n rows, (R, n, num_inputs), or on the weights."""
        return [None if xi is None else xi[:, k] if self.placement == "weights" else xi[:, k, :n] for xi in self.xi]

    def at_eval(self, i: int) -> Tensor | None:
        """Return the constants that replace ξ of layer i in evaluation mode, (R, 1, 1), or None if all are 1."""
        constants = [1.0 if (noise := network.noises[i]) is None else noise.at_eval for network in self.networks]
        like = self.networks[0].layers[0][0]
        return None if set(constants) == {1.0} else like.new_tensor(constants).view(-1, 1, 1)


def _draw(noises: Sequence[Noise], xi: Tensor, generator: torch.Generator) -> None:
    """Sample xi (steps, n, m), each step from its noise; all noises are of one class.

    A mask compares a random 16-bit integer per unit with a threshold.
    """
    first = noises[0]
    if isinstance(first, Mask):
        masks = cast(Sequence[Mask], noises)
        shape = xi[:, :1].shape if first.shared else xi.shape
        bits = torch.empty(-(-shape.numel() // 4), dtype=torch.int64, device=xi.device)
        bits.random_(-(2**63), None, generator=generator)  # random_() without bounds never sets the highest bit
        integers = bits.view(torch.int16)[: shape.numel()].view(shape)  # signed; those over the threshold are kept
        thresholds = [round(mask.drop_prob * LEVELS) - LEVELS // 2 - 0.5 for mask in masks]
        kept = (integers > _per_step(thresholds, xi)).expand_as(xi)
        torch.mul(kept, _per_step([mask.scale for mask in masks], xi), out=xi)
    elif isinstance(first, Gaussian | ThreePoint) and len(set(noises)) == 1:
        xi.copy_(first.draw(xi, generator))
    else:  # step by step: the drop probabilities differ, or a plugin's noise depends on the whole batch
        for noise, xi_of_step in zip(noises, xi, strict=True):
            xi_of_step.copy_(noise.draw(xi_of_step, generator))


def _per_step(values: list[float], like: Tensor) -> Tensor | float:
    """Return one number if all steps have the same, else a tensor (steps, 1, 1)."""
    return values[0] if len(set(values)) == 1 else like.new_tensor(values).view(-1, 1, 1)

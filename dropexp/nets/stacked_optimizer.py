"""The optimiser of a stack: SGD or Adam from scratch for R networks at once, each with its own lr and penalties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dropexp.nets.adam import BETA1, BETA2, EPSILON, Adam, Optimizer
from dropexp.nets.sgd import SGD, Layer, limit_column_norms


class StackOptimizer:
    """Updates all parameters of R networks as `SGD.update` or `Adam.update` does.

    `theta` (R, length) are the parameters; `layers` are views of it, W (R, num_inputs, num_outputs) and b
    (R, 1, num_outputs). The optimisers of the networks may differ in learning rate, penalties and max norm only. A
    graph may capture up to `steps` updates: what changes from step to step is in buffers, which `begin` fills.
    """

    def __init__(self, optimizers: Sequence[Optimizer], theta: Tensor, layers: list[Layer], steps: int) -> None:
        self.optimizers, self.theta, self.layers = list(optimizers), theta, layers
        self.first, R = optimizers[0], len(optimizers)
        symbols = "vs" if isinstance(self.first, Adam) else "v" if self.first.momentum else ""
        self.moments = {symbol: torch.zeros_like(theta) for symbol in symbols}  # (R, length)
        self.t = theta.new_zeros(R, 1, dtype=torch.float64)  # steps so far, of Adam

        # a number per run, (R, 1, 1), or None if no run uses it
        self.minus_lr = theta.new_empty(R, 1, 1)
        self.weight_decay = self._numbers([one.weight_decay for one in optimizers], unused=0.0)
        self.l1 = self._numbers([one.l1 for one in optimizers], unused=0.0)
        self.max_norm = self._numbers([one.max_norm or math.inf for one in optimizers], unused=math.inf)

        # the factors of Adam's steps, as in `Adam.update`: −lr·c/(1 − β₁ᵗ) and ε·c
        self.rates, self.epsilons = (theta.new_empty(steps, R, 1) for _ in range(2))

    def _numbers(self, numbers: list[float], unused: float) -> Tensor | None:
        return None if set(numbers) == {unused} else self.theta.new_tensor(numbers).view(-1, 1, 1)

    @property
    def is_plain_sgd(self) -> bool:
        """Whether a step only adds −lr·∂l/∂W, and then may limit norms: it needs no buffer for the gradient."""
        return not self.moments and self.weight_decay is None and self.l1 is None

    def set_lrs(self, lrs: Sequence[float]) -> None:
        """Set the learning rate of each run."""
        rates = [
            -lr / one.divisor if isinstance(one, SGD) else -lr for lr, one in zip(lrs, self.optimizers, strict=True)
        ]
        self.minus_lr.copy_(torch.tensor(rates, dtype=torch.float64).view(-1, 1, 1))

    def begin(self, num_steps: int) -> None:
        """Prepare the next `num_steps` updates."""
        if isinstance(self.first, Adam):
            t = self.t + torch.arange(1, num_steps + 1, device=self.t.device).view(-1, 1, 1)  # (num_steps, R, 1)
            c = (1 - BETA2**t).sqrt()
            self.rates[:num_steps] = self.minus_lr[:, 0] * c / (1 - BETA1**t)
            self.epsilons[:num_steps] = EPSILON * c
            self.t += num_steps

    def update(self, gradient: Tensor, grads: list[Layer], k: int) -> None:
        """Take the update of step k since `begin`. Overwrites `gradient` (R, length), of which `grads` are views."""
        decoupled = isinstance(self.first, Adam) and self.first.decoupled
        for (W, _), (dW, _) in zip(self.layers, grads, strict=True):
            if self.weight_decay is not None and not decoupled:
                dW.addcmul_(W, self.weight_decay)
            if self.l1 is not None:
                dW.addcmul_(W.sign(), self.l1)
            if self.weight_decay is not None and decoupled:
                W.addcmul_(W, self.minus_lr * self.weight_decay)
        if isinstance(self.first, Adam):
            self._adam(gradient, k)
        else:
            self._sgd(self.first, gradient)
        for i in range(len(self.layers)):
            self.limit_norms(i)

    def _sgd(self, sgd: SGD, step: Tensor) -> None:
        if sgd.momentum:
            velocity = self.moments["v"].mul_(sgd.momentum).add_(step)
            step = step.add_(velocity, alpha=sgd.momentum) if sgd.nesterov else velocity
        self.theta.addcmul_(step, self.minus_lr[:, 0])

    def _adam(self, g: Tensor, k: int) -> None:
        v, s = self.moments["v"], self.moments["s"]
        v.lerp_(g, 1 - BETA1)
        s.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
        torch.sqrt(s, out=g).add_(self.epsilons[k])
        self.theta.addcmul_(torch.div(v, g, out=g), self.rates[k])

    def limit_norms(self, i: int) -> None:
        """Rescale the weights of layer i to the maximum norm, unless it is the last layer."""
        if self.max_norm is not None and i + 1 < len(self.layers):
            limit_column_norms(self.layers[i][0], self.max_norm)

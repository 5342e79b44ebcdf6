"""Stochastic gradient descent from scratch: momentum, penalties on the weights, and a bound on their norms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Layer = tuple[Tensor, Tensor]  # W (…, num_inputs, num_outputs), b (…, num_outputs)
Moments = dict[str, Tensor]  # what an optimiser keeps of one layer's gradients, by symbol: vW (as W), vb (as b), …


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g;  w ← w − lr/divisor · v, where g is the gradient of the mean loss and of the penalties.

    The penalties are weight_decay/2·‖w‖² and l1·‖w‖₁, on weights but not on biases. With `nesterov` the step is
    g + momentum·v instead of v (Sutskever et al., 2013, in the form of torch). With `max_norm`, incoming weights of a
    hidden unit whose norm exceeds it are rescaled to it after the step (Srivastava et al., 2014, section 5.1). The
    book's own `sgd` divides the gradient of the mean by the batch size once more: divisor = batch_size.
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    divisor: int = 1
    nesterov: bool = False
    l1: float = 0.0
    max_norm: float | None = None

    def moments(self, layer: Layer) -> Moments:
        """Return the initial velocity v = 0 of a layer as vW and vb, or nothing without momentum."""
        W, b = layer
        return {"vW": torch.zeros_like(W), "vb": torch.zeros_like(b)} if self.momentum else {}

    def update(self, layer: Layer, grad: Layer, moments: Moments, lr: float, *, hidden: bool) -> None:
        """Update one layer and its velocity in place. Overwrites `grad`. `max_norm` applies to `hidden` layers only."""
        (W, _), (dW, _) = layer, grad
        add_penalties(W, dW, self.weight_decay, self.l1)
        for name, w, g in zip("Wb", layer, grad, strict=True):
            step = g
            if self.momentum:
                v = moments[f"v{name}"].mul_(self.momentum).add_(g)
                step = g.add_(v, alpha=self.momentum) if self.nesterov else v
            w.add_(step, alpha=-lr / self.divisor)
        if self.max_norm and hidden:
            limit_column_norms(W, self.max_norm)


def add_penalties(W: Tensor, dW: Tensor, weight_decay: float, l1: float) -> None:
    """Add the gradients of weight_decay/2·‖W‖² and l1·‖W‖₁ to `dW` in place."""
    if weight_decay:
        dW.add_(W, alpha=weight_decay)
    if l1:
        dW.add_(W.sign(), alpha=l1)


def limit_column_norms(W: Tensor, max_norm: float | Tensor) -> None:
    """Rescale in place the columns of W (…, num_inputs, num_outputs) whose norm exceeds `max_norm` to that norm."""
    W.mul_((max_norm / W.norm(dim=-2, keepdim=True)).clamp_(max=1))

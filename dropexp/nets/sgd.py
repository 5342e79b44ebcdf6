"""Stochastic gradient descent by hand: momentum, penalties on the weights, and a bound on their norms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Layer = tuple[Tensor, Tensor]  # W (…, num_inputs, num_outputs), b (…, num_outputs)


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g;  w ← w − lr/divisor · v, where g is the gradient of the mean loss and of the penalties.

    The penalties are weight_decay/2·‖w‖² and l1·‖w‖₁, on weights but not on biases. With `nesterov` the step is
    g + momentum·v in place of v (Sutskever et al., 2013, in the form of torch). With `max_norm`, incoming weights of a
    hidden unit whose norm exceeds it are rescaled to it after the step (Srivastava et al., 2014, section 5.1). The
    book's own `sgd` divides the gradient of the mean by the batch size once more: divisor = batch_size.
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    divisor: int = 1
    nesterov: bool = False
    l1: float = 0.0
    max_norm: float | None = None

    def velocities(self, layers: list[Layer]) -> list[Layer]:
        """Return the initial velocities v = 0 of all layers, or [] without momentum."""
        return [(W.new_zeros(W.shape), b.new_zeros(b.shape)) for W, b in layers] if self.momentum else []

    def update(self, layer: Layer, grad: Layer, velocity: Layer | None, lr: float, *, hidden: bool) -> None:
        """Update one layer and its velocity in place. Overwrites `grad`. `max_norm` applies to `hidden` layers only."""
        (W, _), (dW, _) = layer, grad
        if self.weight_decay:
            dW.add_(W, alpha=self.weight_decay)
        if self.l1:
            dW.add_(W.sign(), alpha=self.l1)
        for i, (w, g) in enumerate(zip(layer, grad, strict=True)):
            step = g
            if velocity:
                v = velocity[i].mul_(self.momentum).add_(g)
                step = g.add_(v, alpha=self.momentum) if self.nesterov else v
            w.add_(step, alpha=-lr / self.divisor)
        if self.max_norm and hidden:
            limit_column_norms(W, self.max_norm)


def limit_column_norms(W: Tensor, max_norm: float | Tensor) -> None:
    """Rescale in place the columns of W (…, num_inputs, num_outputs) whose norm exceeds `max_norm` to that norm."""
    W.mul_((max_norm / W.norm(dim=-2, keepdim=True)).clamp_(max=1))

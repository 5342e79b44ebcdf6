"""Stochastic gradient descent by hand: momentum, penalties on the weights, and a bound on their norms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Layer = tuple[Tensor, Tensor]  # W (…, num_inputs, num_outputs), b (…, num_outputs)


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g;  w ← w − lr/divisor · v, with g the gradient of the batch's mean loss and the penalties.

    The penalties are weight_decay/2·‖w‖² and l1·‖w‖₁, on weights and not on biases. `nesterov` steps by
    g + momentum·v instead of v (Sutskever et al., 2013, as torch has it). After a step a hidden unit whose incoming
    weights have a norm over `max_norm` has them shrunk to it (Srivastava et al., 2014, section 5.1). The book's own
    `sgd` divides the gradient of the mean by the batch size once more: divisor = batch_size does the same.
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    divisor: int = 1
    nesterov: bool = False
    l1: float = 0.0
    max_norm: float | None = None

    def velocities(self, layers: list[Layer]) -> list[Layer]:
        """Those to begin with; none where there is no momentum."""
        return [(W.new_zeros(W.shape), b.new_zeros(b.shape)) for W, b in layers] if self.momentum else []

    def update(self, layer: Layer, grad: Layer, velocity: Layer | None, lr: float, *, hidden: bool) -> None:
        """One step of a layer, in place; `grad` is overwritten. `hidden`: whether its outputs are hidden units."""
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
    """Shrink, in place, the columns of W (…, num_inputs, num_outputs) whose norm is over `max_norm` to that."""
    W.mul_((max_norm / W.norm(dim=-2, keepdim=True)).clamp_(max=1))

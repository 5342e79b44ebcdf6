"""Adam and AdamW from scratch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from dropexp.nets.sgd import SGD, Layer, Moments, add_penalties, limit_column_norms

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Adam:
    """v ← β₁·v + (1 − β₁)·g;  s ← β₂·s + (1 − β₂)·g²;  w ← w − lr · v̂ / (√ŝ + ε)

    with v̂ = v/(1 − β₁ᵗ) and ŝ = s/(1 − β₂ᵗ) at step t = 1, 2, … (Kingma and Ba, 2015; Dive into Deep Learning, 7.8).
    g is the gradient of the mean loss and of the penalties, as in `SGD`.

    With `decoupled` this is AdamW: `weight_decay` is not a penalty, but w ← w − lr·weight_decay·w before the step
    (Loshchilov and Hutter, 2019; with lr in the decay, as in torch). `l1` stays a penalty. `max_norm` is that of `SGD`.
    """

    weight_decay: float = 0.0
    decoupled: bool = False
    l1: float = 0.0
    max_norm: float | None = None

    def moments(self, layer: Layer) -> Moments:
        """Return the initial moments v = s = 0 of a layer as vW, vb, sW, sb, and its number of steps t = 0."""
        W, b = layer
        zeros = {f"{symbol}{name}": torch.zeros_like(w) for symbol in "vs" for name, w in (("W", W), ("b", b))}
        return zeros | {"t": torch.zeros((), dtype=torch.int64)}  # on the CPU, so that no step waits for a GPU

    def update(self, layer: Layer, grad: Layer, moments: Moments, lr: float, *, hidden: bool) -> None:
        """Update one layer and its moments in place. Overwrites `grad`. `max_norm` applies to `hidden` layers only.

        The step includes the bias corrections of v̂ and ŝ: w ← w − lr·c/(1 − β₁ᵗ) · v / (√s + ε·c), c = √(1 − β₂ᵗ).
        """
        (W, _), (dW, _) = layer, grad
        add_penalties(W, dW, 0.0 if self.decoupled else self.weight_decay, self.l1)
        if self.decoupled and self.weight_decay:
            W.mul_(1 - lr * self.weight_decay)
        t = int(moments["t"].add_(1))
        c = math.sqrt(1 - BETA2**t)
        for name, w, g in zip("Wb", layer, grad, strict=True):
            v, s = moments[f"v{name}"], moments[f"s{name}"]
            v.lerp_(g, 1 - BETA1)
            s.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
            w.addcdiv_(v, torch.sqrt(s, out=g).add_(EPSILON * c), value=-lr * c / (1 - BETA1**t))
        if self.max_norm and hidden:
            limit_column_norms(W, self.max_norm)


Optimizer = SGD | Adam

"""The reference implementation: a multilayer perceptron with dropout, from scratch.

Dive into Deep Learning, section 3.13.2, in its order and symbols: parameters, network, loss, training step. Rows are
examples, and every tensor has two dimensions (biases one). With p the drop probability and keep = 1 − p, layer i of the
network computes

    H_0 = X,   H_i = ξ_i ⊙ relu(Z_{i−1}),   Z_i = H_i W_i + b_i,   O = Z_last
    ξ = mask / keep,   mask ~ Bernoulli(keep)                                        (dropout: noise.py)
    l = −mean log softmax(O)_y,   W_i ← W_i − lr · ∂l/∂W_i                            (update: sgd.py, adam.py)

The gradients are written out, not computed by autograd; tests compare them with autograd.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dropexp.nets.adam import Optimizer
from dropexp.nets.noise import Noise, with_drop_prob
from dropexp.nets.schedules import DropSchedule
from dropexp.nets.sgd import Layer

Placement = Literal["after", "before", "weights"]


def init_params(
    sizes: Sequence[int],
    generator: torch.Generator,
    init: str = "normal",
    std: float = 0.01,
    bias: str = "zeros",
) -> list[Layer]:
    """Return initial parameters for layers of the given sizes, such as (784, 256, 256, 10), float32 on the CPU.

    `init` samples the weights from N(0, std²) ("normal") or like `nn.Linear` from U(−1/√n, 1/√n) with n inputs
    ("torch"). `bias` sets the biases to "zeros" or samples them from one of these distributions.
    """

    def draw(shape: tuple[int, ...], num_inputs: int, how: str) -> Tensor:
        if how == "zeros":
            return torch.zeros(shape)
        if how == "normal":
            return torch.empty(shape).normal_(0, std, generator=generator)
        bound = 1 / math.sqrt(num_inputs)
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    shapes = list(itertools.pairwise(sizes))
    weights = [draw((n, m), n, init) for n, m in shapes]
    biases = [draw((m,), n, bias) for n, m in shapes]  # after all weights, so that weights do not depend on `bias`
    return list(zip(weights, biases, strict=True))


def relu(X: Tensor) -> Tensor:
    return X.clamp(min=0)


def softmax(O: Tensor) -> Tensor:
    """Return the softmax of each row. Subtracting the row's maximum first avoids overflow in exp."""
    O_exp = (O - O.amax(dim=1, keepdim=True)).exp()
    return O_exp / O_exp.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class ForwardPass:
    """What a forward pass computed: the outputs O, and per layer what the backward pass needs."""

    O: Tensor
    H: list[Tensor]  # inputs (n, num_inputs), with noise
    V: list[Tensor]  # weights (num_inputs, num_outputs), with noise
    Z: list[Tensor]  # H·V + b (n, num_outputs)
    xi: list[Tensor | float]  # the noise; 1.0 for none


class MLP:
    """The network with its noise and its optimiser: `step` trains on a batch, `logits` evaluates.

    `layers` are the parameters; they are updated in place. `noises` has an item per layer, for the layer's input: the
    images, then each hidden layer. An item is None where there is no noise; an empty list means no noise at all.
    `placement` applies the noise to hidden units "after" their ReLU, "before" it, or to the "weights" that read them,
    with one ξ for all rows of a batch (one for each row: dropconnect.py). `schedule` changes the drop probabilities
    step by step.

    `input_noise_std` adds N(0, std²) to the images (Bishop, 1995). `label_smoothing` spreads that fraction of a label
    over all classes (Szegedy et al., 2016). Two bugs of published code can be reproduced: `output_relu` applies a ReLU
    to the outputs, and `noise_at_eval` keeps dropout active in `logits`.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        noises: Sequence[Noise | None],
        generator: torch.Generator,
        optimizer: Optimizer,
        *,
        placement: Placement = "after",
        schedule: DropSchedule | None = None,
        input_noise_std: float = 0.0,
        label_smoothing: float = 0.0,
        output_relu: bool = False,
        noise_at_eval: bool = False,
    ) -> None:
        self.layers = list(layers)
        self.noises: list[Noise | None] = list(noises) or [None] * len(self.layers)
        self.drop_probs = [noise.p if noise else 0.0 for noise in self.noises]
        self.generator = generator
        self.optimizer = optimizer
        self.placement = placement
        self.schedule = schedule
        self.input_noise_std = input_noise_std
        W, b = self.layers[-1]
        self.targets = torch.eye(len(b)).to(W) * (1 - label_smoothing) + label_smoothing / len(b)  # a row per class
        self.output_relu = output_relu
        self.noise_at_eval = noise_at_eval
        self.moments = [optimizer.moments(layer) for layer in self.layers]

    def forward(self, X: Tensor, generator: torch.Generator | None) -> ForwardPass:
        """Compute the outputs for X (n, num_inputs): with noise from `generator`, or in evaluation mode without one."""
        X = self.images(X, generator)
        H: list[Tensor] = []
        V: list[Tensor] = []
        Z: list[Tensor] = []
        xi: list[Tensor | float] = []
        for i, (W, b) in enumerate(self.layers):
            A = relu(Z[i - 1]) if i > 0 else X
            xi.append(self.draw(i, W if self.placement == "weights" else A, generator))
            if self.placement == "weights":
                H.append(A)
                V.append(xi[i] * W)
            elif self.placement == "before" and i > 0:
                H.append(relu(xi[i] * Z[i - 1]))
                V.append(W)
            else:
                H.append(xi[i] * A)
                V.append(W)
            Z.append(self.linear(H[i], V[i], b))
        O = relu(Z[-1]) if self.output_relu else Z[-1]
        return ForwardPass(O=O, H=H, V=V, Z=Z, xi=xi)

    def images(self, X: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return X, with normal noise from `generator` if there is one."""
        if generator and self.input_noise_std:
            return X + self.input_noise_std * torch.randn(X.shape, generator=generator, device=X.device)
        return X

    def draw(self, i: int, like: Tensor, generator: torch.Generator | None) -> Tensor | float:
        """Sample ξ of layer i for `like`, such as (rand < keep) / keep; without a generator, return its constant."""
        noise = self.noises[i]
        if noise is None:
            return 1.0
        return noise.draw(like, generator) if generator else noise.at_eval

    def linear(self, H: Tensor, W: Tensor, b: Tensor) -> Tensor:
        return H @ W + b

    def backward(self, y: Tensor, result: ForwardPass) -> list[Layer]:
        """Return the gradients of the mean cross entropy with respect to W and b of each layer."""
        H, V, Z, xi = result.H, result.V, result.Z, result.xi
        D = self.output_gradient(y, result.O)
        grads: list[Layer] = []
        for i in reversed(range(len(self.layers))):
            dV, db = H[i].T @ D, D.sum(dim=0)  # ∂l/∂V = Hᵀ·D, ∂l/∂b = Σ D
            grads.insert(0, (xi[i] * dV if self.placement == "weights" else dV, db))
            if i > 0:
                D = D @ V[i].T  # ∂l/∂H
                if self.placement != "weights":
                    D = xi[i] * D
                D = D * ((H[i] if self.placement == "before" else Z[i - 1]) > 0)  # ∂l/∂Z
        return grads

    def output_gradient(self, y: Tensor, O: Tensor) -> Tensor:
        """Return ∂l/∂Z of the last layer, (n, num_outputs)."""
        D = (softmax(O) - self.targets[y]) / len(y)  # ∂l/∂O; a row of targets is one-hot(y), or smoothed
        return D * (O > 0) if self.output_relu else D

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on one batch and return the outputs of its forward pass, with dropout active."""
        self.set_drop_probs(progress)
        result = self.forward(X, self.generator)
        for i, grad in enumerate(self.backward(y, result)):
            self.update(i, grad, lr)
        return result.O

    def update(self, i: int, grad: Layer, lr: float) -> None:
        """Take a step of the optimiser for layer i, in place. Overwrites `grad`."""
        self.optimizer.update(self.layers[i], grad, self.moments[i], lr, hidden=i + 1 < len(self.layers))

    def set_drop_probs(self, progress: float) -> None:
        """Set the drop probabilities that the schedule has at this completed fraction of the training."""
        if self.schedule:
            for i, noise in enumerate(self.noises):
                if noise:
                    p = self.schedule(self.drop_probs[i], progress, self.generator)
                    self.noises[i] = with_drop_prob(noise, p)

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the outputs in evaluation mode, or with noise from `generator`."""
        return self.forward(X, generator or (self.generator if self.noise_at_eval else None)).O

    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Return the outputs of each hidden layer in evaluation mode, or with noise from `generator`."""
        return self.forward(X, generator).H[1:]

    def weights(self) -> list[Tensor]:
        return [W for W, _ in self.layers]

    def state(self) -> dict[str, Tensor]:
        """Return parameters W1, b1, W2, … and what the optimiser keeps, vW1, vb1, …: the tensors, not copies."""
        parameters = [{"W": W, "b": b} for W, b in self.layers]
        return {
            f"{name}{i}": tensor
            for by_layer in (parameters, self.moments)
            for i, named in enumerate(by_layer, start=1)
            for name, tensor in named.items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.state().items():
            tensor.copy_(state[name].view_as(tensor))  # view_as raises for another shape, which copy_ would broadcast

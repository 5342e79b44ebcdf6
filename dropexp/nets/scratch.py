"""The textbook page: the multilayer perceptron with dropout, by hand.

Dive into Deep Learning, 3.13.2, in its order and symbols: parameters, network, loss, training step. Every
tensor has two dimensions (biases one), rows are examples. Gradients are written out instead of asked from autograd.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dropexp.nets.noise import Noise, with_drop_prob
from dropexp.nets.schedules import DropSchedule
from dropexp.nets.sgd import SGD, Layer


def init_params(
    sizes: Sequence[int],
    generator: torch.Generator,
    init: str = "normal",
    std: float = 0.01,
    bias: str = "zeros",
) -> list[Layer]:
    """Initial parameters for layers of the given sizes, e.g. (784, 256, 256, 10), float32 on the CPU.

    `init` draws the weights from N(0, std²) ("normal") or as `nn.Linear` does, U(−1/√n, 1/√n) with n inputs
    ("torch"); `bias` sets the biases to "zeros" or draws them from the same two distributions.
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
    biases = [draw((m,), n, bias) for n, m in shapes]  # after all weights: these are then equal for any bias
    return list(zip(weights, biases, strict=True))


def relu(X: Tensor) -> Tensor:
    return X.clamp(min=0)


def softmax(O: Tensor) -> Tensor:
    """Row by row; the largest entry is taken off first, so that exp cannot overflow."""
    O_exp = (O - O.amax(dim=1, keepdim=True)).exp()
    return O_exp / O_exp.sum(dim=1, keepdim=True)


Placement = Literal["after", "before", "weights"]


class Pass(NamedTuple):
    """What each layer computed with: H, what it read, and V, its weights, noise included; Z = H·V + b; ξ, the noise."""

    H: list[Tensor]
    V: list[Tensor]
    Z: list[Tensor]
    xi: list[Tensor | float]


class MLP:
    """The network, its noise and its optimiser: one `step` trains on a batch, `logits` evaluates.

    `layers` are the parameters (they are updated in place). `noises` has an object for each layer, for what that layer
    reads: the images, then each hidden layer; None where there is no noise, and no objects at all for a network
    without dropout. Their `placement` is on hidden units "after" their ReLU, "before" it, or on the "weights" that
    read them (DropConnect, Wan et al., 2013, one ξ for a batch). `schedule` changes drop probabilities step by step.

    `input_noise_std` adds N(0, std²) to the images (Bishop, 1995); `label_smoothing` spreads that share of a label over
    all classes (Szegedy et al., 2016). `output_relu` puts a ReLU on the outputs too, `noise_at_eval` leaves the noise
    on in `logits`: both are slips of sources that are reproduced here as printed.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        noises: Sequence[Noise | None],
        generator: torch.Generator,
        sgd: SGD,
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
        self.sgd = sgd
        self.placement = placement
        self.schedule = schedule
        self.input_noise_std = input_noise_std
        W, b = self.layers[-1]
        self.targets = torch.eye(len(b)).to(W) * (1 - label_smoothing) + label_smoothing / len(b)  # a row per class
        self.output_relu = output_relu
        self.noise_at_eval = noise_at_eval
        self.velocities = sgd.velocities(self.layers)

    def forward(self, X: Tensor, generator: torch.Generator | None) -> tuple[Pass, Tensor]:
        """A pass with noise drawn by `generator`, or without noise; and the outputs O."""
        H: list[Tensor] = []
        V: list[Tensor] = []
        Z: list[Tensor] = []
        xi: list[Tensor | float] = []
        if generator and self.input_noise_std:
            X = X + self.input_noise_std * torch.randn(X.shape, generator=generator, device=X.device)
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
        return Pass(H, V, Z, xi), relu(Z[-1]) if self.output_relu else Z[-1]

    def draw(self, i: int, like: Tensor, generator: torch.Generator | None) -> Tensor | float:
        """ξ on what layer i reads, say (rand < keep) / keep; without a generator what eval mode has in its place."""
        noise = self.noises[i]
        if noise is None:
            return 1.0
        return noise.draw(like, generator) if generator else noise.at_eval

    def linear(self, H: Tensor, W: Tensor, b: Tensor) -> Tensor:
        return H @ W + b

    def backward(self, y: Tensor, passed: Pass, O: Tensor) -> list[Layer]:
        """The gradients of the mean cross entropy, layer by layer."""
        H, V, Z, xi = passed
        D = (softmax(O) - self.targets[y]) / len(y)  # ∂l/∂O; a row of targets is onehot(y), perhaps smoothed
        if self.output_relu:
            D = D * (O > 0)
        grads: list[Layer] = []
        for i in reversed(range(len(self.layers))):
            dW = H[i].T @ D  # ∂l/∂V = Hᵀ·D
            grads.insert(0, (xi[i] * dW if self.placement == "weights" else dW, D.sum(dim=0)))  # ∂l/∂b = Σ D
            if i > 0:
                D = D @ V[i].T  # ∂l/∂H
                if self.placement != "weights":
                    D = xi[i] * D
                D = D * ((H[i] if self.placement == "before" else Z[i - 1]) > 0)  # ∂l/∂Z
        return grads

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on one batch, X (n, num_inputs) and y (n,); returns the outputs (n, num_outputs) of the noisy pass.

        `progress` is the share of the training that is over, for the schedule of drop probabilities.
        """
        self.set_rates(progress)
        passed, O = self.forward(X, self.generator)
        for i, grad in enumerate(self.backward(y, passed, O)):
            self.update(i, grad, lr)
        return O

    def update(self, i: int, grad: Layer, lr: float) -> None:
        """One step of stochastic gradient descent for layer i, in place; `grad` is overwritten."""
        velocity = self.velocities[i] if self.velocities else None
        self.sgd.update(self.layers[i], grad, velocity, lr, hidden=i + 1 < len(self.layers))

    def set_rates(self, progress: float) -> None:
        """Give the noises the drop probabilities that the schedule has for this step."""
        if self.schedule:
            for i, noise in enumerate(self.noises):
                if noise:
                    self.noises[i] = with_drop_prob(noise, self.schedule(self.drop_probs[i], progress, self.generator))

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The outputs (n, num_outputs) for X (n, num_inputs): without noise, or with noise drawn by `generator`."""
        return self.forward(X, generator or (self.generator if self.noise_at_eval else None))[1]

    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """What each hidden layer passes on (n, num_hiddens): in eval mode, or with noise drawn by `generator`."""
        passed, _ = self.forward(X, generator)
        return passed.H[1:]

    def weights(self) -> list[Tensor]:
        """W (num_inputs, num_outputs) of each layer."""
        return [W for W, _ in self.layers]

    def state(self) -> dict[str, Tensor]:
        """Parameters W1, b1, W2, … and, with momentum, velocities vW1, vb1, …: the tensors themselves, no copies."""
        named: dict[str, Tensor] = {}
        for prefix, pairs in (("", self.layers), ("v", self.velocities)):
            for i, (W, b) in enumerate(pairs, start=1):
                named |= {f"{prefix}W{i}": W, f"{prefix}b{i}": b}
        return named

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a saved `state()`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name].view_as(tensor))  # copy_ alone broadcasts

"""The textbook page: the multilayer perceptron with dropout, by hand.

Dive into Deep Learning, 3.13.2, in its order and symbols: parameters, network, loss, training step. Every
tensor has two dimensions (biases one), rows are examples. Gradients are written out instead of asked from autograd.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropexp.noise import Noise

Layer = tuple[Tensor, Tensor]  # W (num_inputs, num_outputs), b (num_outputs,)


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g;  w ← w − lr/divisor · v,  with g the gradient of the batch's mean loss.

    Weights (not biases) get weight_decay·w added to their gradient. The book's own `sgd` divides the gradient of
    the mean by the batch size once more: divisor = batch_size does the same.
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    divisor: int = 1


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


class MLP:
    """The network, its noise and its optimiser: one `step` trains on a batch, `logits` evaluates.

    `layers` are the parameters (they are updated in place), `noises` one object per hidden layer, or none at all
    for a network without dropout. `output_relu` puts a ReLU on the outputs too; `noise_at_eval` leaves the noise
    on in `logits`. Both are slips of sources that are reproduced here as printed.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        noises: Sequence[Noise],
        generator: torch.Generator,
        sgd: SGD,
        *,
        output_relu: bool = False,
        noise_at_eval: bool = False,
    ) -> None:
        self.layers = list(layers)
        self.noises = list(noises)
        self.generator = generator
        self.sgd = sgd
        self.output_relu = output_relu
        self.noise_at_eval = noise_at_eval
        self.velocities = [(torch.zeros_like(W), torch.zeros_like(b)) for W, b in layers] if sgd.momentum else []

    def forward(self, X: Tensor, noisy: bool) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """H: the input of each layer; A: each hidden layer before its noise; ξ: the noise; O: the outputs."""
        H, A, xi = [X], [], []
        for i, (W, b) in enumerate(self.layers[:-1]):
            A.append(relu(H[i] @ W + b))
            if self.noises and noisy:
                xi.append(self.noises[i].draw(A[i], self.generator))  # mask = rand < keep;  ξ = mask / keep
                H.append(xi[i] * A[i])
            else:
                H.append(A[i])
        W, b = self.layers[-1]
        O = H[-1] @ W + b
        return H, A, xi, relu(O) if self.output_relu else O

    def backward(self, y: Tensor, H: list[Tensor], A: list[Tensor], xi: list[Tensor], O: Tensor) -> list[Layer]:
        """The gradients of the mean cross entropy, layer by layer."""
        D = softmax(O)  # ∂l/∂O = (softmax(O) − onehot(y)) / n
        D[torch.arange(len(y)), y] -= 1
        D /= len(y)
        if self.output_relu:
            D = D * (O > 0)
        grads: list[Layer] = []
        for i in reversed(range(len(self.layers))):
            grads.insert(0, (H[i].T @ D, D.sum(dim=0)))  # ∂l/∂W = Hᵀ·D,  ∂l/∂b = Σ D
            if i > 0:
                D = D @ self.layers[i][0].T  # ∂l/∂H
                if xi:
                    D = xi[i - 1] * D  # ∂l/∂A
                D = D * (A[i - 1] > 0)  # ∂l/∂Z
        return grads

    def update(self, grads: list[Layer], lr: float) -> None:
        """One step of stochastic gradient descent, in place."""
        for i, ((W, b), (dW, db)) in enumerate(zip(self.layers, grads, strict=True)):
            if self.sgd.weight_decay:
                dW = dW + self.sgd.weight_decay * W
            if self.sgd.momentum:
                vW, vb = self.velocities[i]
                dW = vW.mul_(self.sgd.momentum).add_(dW)
                db = vb.mul_(self.sgd.momentum).add_(db)
            W -= lr / self.sgd.divisor * dW
            b -= lr / self.sgd.divisor * db

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """Train on one batch, X (n, num_inputs) and y (n,); returns the outputs (n, num_outputs) of the noisy pass."""
        H, A, xi, O = self.forward(X, noisy=True)
        self.update(self.backward(y, H, A, xi, O), lr)
        return O

    def logits(self, X: Tensor) -> Tensor:
        """The outputs (n, num_outputs) for X (n, num_inputs), without noise unless `noise_at_eval`."""
        return self.forward(X, noisy=self.noise_at_eval)[-1]

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
            tensor.copy_(state[name])

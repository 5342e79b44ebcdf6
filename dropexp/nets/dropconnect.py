"""DropConnect: a multilayer perceptron with masks on weights and biases, for each example. (Wan et al., 2013)

With masks M_k and m_k for example k, and p the probability to drop a weight or a bias, keep = 1 − p, layer i computes

    z_k = (h_k·(M_k ⊙ W_i) + m_k ⊙ b_i) / keep,   M_k, m_k ~ Bernoulli(keep)
    E[z_k] = h_k·W_i + b_i,   Var[z_k] = p/keep · (h_k²·W_i² + b_i²)        (squares of each element)

so that evaluation mode is the network without noise, as for inverted dropout. The paper does not divide by keep, and
multiplies its parameters by keep at test time. These are W/keep and b/keep in terms of W and b here, and a learning
rate lr in the paper corresponds to lr·keep² here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from dropexp.nets.dropconnect_masks import WeightMasks
from dropexp.nets.from_scratch import MLP, ForwardPass, relu
from dropexp.nets.matmul import ROWS
from dropexp.nets.noise import Mask
from dropexp.nets.sgd import Layer


@dataclass(frozen=True)
class MaskedPass(ForwardPass):
    """A forward pass with masks: per layer those of its weights, and ξ (n, num_outputs) of its biases, or None."""

    masks: list[tuple[WeightMasks, Tensor] | None]


class DropConnectMLP(MLP):
    """The network with masks for each example. Options and state are those of `from_scratch.MLP`.

    `noises` has an item per layer: `Inverted` for its weights and biases, or None.
    """

    def forward(self, X: Tensor, generator: torch.Generator | None) -> ForwardPass:
        """Compute the outputs for X (n, num_inputs): with masks from `generator`, or in evaluation mode without one."""
        if generator is None:
            return super().forward(X, None)
        H: list[Tensor] = []
        Z: list[Tensor] = []
        masks: list[tuple[WeightMasks, Tensor] | None] = []
        for i, (W, b) in enumerate(self.layers):
            H.append(relu(Z[i - 1]) if i > 0 else self.images(X, generator))
            noise = self.mask(i)
            if noise is None:
                masks.append(None)
                Z.append(self.linear(H[i], W, b))
                continue
            M = WeightMasks(noise, W, len(X), generator)
            xi_b = noise.draw(X.new_empty(len(X), len(b)), generator)
            masks.append((M, xi_b))
            Z.append(M.forward(H[i], W) + xi_b * b)
        O = relu(Z[-1]) if self.output_relu else Z[-1]
        return MaskedPass(O=O, H=H, V=self.weights(), Z=Z, xi=[1.0] * len(Z), masks=masks)

    def mask(self, i: int) -> Mask | None:
        """Return the noise of layer i; None if it has none, or if a schedule has set p = 0."""
        noise = cast(Mask | None, self.noises[i])
        return noise if noise and noise.p > 0 else None

    def backward(self, y: Tensor, result: ForwardPass) -> list[Layer]:
        """Return the gradients of the mean cross entropy with respect to W and b of each layer."""
        if not isinstance(result, MaskedPass):
            return super().backward(y, result)
        D = self.output_gradient(y, result.O)
        grads: list[Layer] = []
        for i in reversed(range(len(self.layers))):
            H, (W, _), drawn = result.H[i], self.layers[i], result.masks[i]
            if drawn is None:
                parts = zip(H.split(ROWS), D.split(ROWS), strict=True)  # oneDNN splits longer sums between threads
                dW, db = torch.stack([h.T @ d for h, d in parts]).sum(dim=0), D.sum(dim=0)
                dH = D @ W.T if i > 0 else H
            else:
                M, xi_b = drawn
                dW, dH = M.backward(D, H, W)
                db = (xi_b * D).sum(dim=0)
            grads.insert(0, (dW, db))
            if i > 0:
                D = dH * (result.Z[i - 1] > 0)
        return grads

    def moment_matching(self, X: Tensor, K: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield samples of the outputs (n, num_outputs) for X (n, num_inputs), as the paper does at test time.

        Each hidden layer passes on the mean of relu(z) over K samples of z. The last layer yields K samples, or one
        exact output if it has no masks. The images have no noise. (Wan et al., 2013, algorithm 2)
        """
        H, last = X, len(self.layers) - 1
        for i in range(last):
            H = _mean(relu(Z) for Z in self.normal_samples(i, H, K, generator))
        for Z in self.normal_samples(last, H, K, generator):
            yield relu(Z) if self.output_relu else Z

    def normal_samples(self, i: int, H: Tensor, K: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield K samples of z of layer i from a normal distribution with its moments; without masks, h·W + b once."""
        (W, b), noise = self.layers[i], self.mask(i)
        Z = self.linear(H, W, b)
        if noise is None:
            yield Z
            return
        keep = 1 - noise.p
        mean = noise.scale * keep * Z  # 0 at p = 1
        std = noise.scale * (noise.p * keep * (H.square() @ W.square() + b.square())).sqrt()
        for _ in range(K):
            yield mean + std * torch.randn(Z.shape, generator=generator, device=Z.device)


def _mean(samples: Iterable[Tensor]) -> Tensor:
    total, K = torch.zeros(()), 0
    for sample in samples:
        total = total + sample
        K += 1
    return total / K

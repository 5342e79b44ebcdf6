"""The reference for networks with gradients written by hand: the same step by autograd, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from dropexp.nets.dropconnect_masks import WeightMasks
from dropexp.nets.from_scratch import MLP
from dropexp.nets.noise import Noise
from dropexp.nets.sgd import Layer


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generators(count: int) -> list[torch.Generator]:
    return [generator(seed) for seed in range(count)]


def copies(layers: Sequence[Layer]) -> list[Layer]:
    return [(W.clone(), b.clone()) for W, b in layers]


@dataclass
class FixedNoise:
    """A noise with a given sample ξ. A smaller batch gets its first rows."""

    xi: Tensor
    p: float = 0.5
    at_eval: float = 1.0

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.xi[: len(like)].to(like.dtype)


def fixed_noises(xi: Sequence[Tensor]) -> list[Noise | None]:
    """Return the noises of a network with these samples on its hidden layers, and none on its images."""
    return [None, *(FixedNoise(x) for x in xi)] if xi else []


def expanded(masks: WeightMasks, W: Tensor) -> Tensor:
    """Return ξ of masks on W, (n, num_inputs, num_outputs): the outputs for unit vectors and weights of 1."""
    units = torch.eye(len(W), dtype=W.dtype)
    return torch.stack([masks.forward(unit.expand(masks.n, -1), torch.ones_like(W)) for unit in units], dim=1)


@dataclass
class Reference:
    """Loss and gradients of one batch, in float64."""

    loss: Tensor
    grads: list[Layer] = field(default_factory=list)


def reference(layers: list[Layer], X: Tensor, y: Tensor, xi: list[Tensor], output_relu: bool = False) -> Reference:
    """Return what autograd computes; `xi` has a sample per hidden layer, or is empty for a network without noise."""
    leaves = [(W.double().clone().requires_grad_(), b.double().clone().requires_grad_()) for W, b in layers]
    H = X.double()
    for i, (W, b) in enumerate(leaves[:-1]):
        H = F.relu(F.linear(H, W.T, b))
        if xi:
            H = H * xi[i][: len(H)].double()
    O = F.linear(H, leaves[-1][0].T, leaves[-1][1])
    loss = F.cross_entropy(F.relu(O) if output_relu else O, y)
    loss.backward()
    grads = [(grad_of(W), grad_of(b)) for W, b in leaves]
    return Reference(loss.detach(), grads)


def grad_of(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def velocities(net: MLP) -> list[Layer]:
    """Return the velocity of each layer, of a network with momentum."""
    return [(moments["vW"], moments["vb"]) for moments in net.moments]


def worst_error(found: list[Layer], expected: list[Layer]) -> float:
    """Return max|error| / max|gradient| per parameter, and of these the largest."""
    pairs = [(f, e) for fs, es in zip(found, expected, strict=True) for f, e in zip(fs, es, strict=True)]
    return max(float((f.double() - e).abs().max() / e.abs().max()) for f, e in pairs)


def problem(
    sizes: list[int], n: int, p: float = 0.5, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[list[Layer], Tensor, Tensor, list[Tensor]]:
    """Return random layers, a random batch X, y, and a random ξ per hidden layer.

    The weights are scaled so that activations have the same magnitude at every layer.
    """
    g = torch.Generator().manual_seed(seed)
    layers = [
        (torch.randn(a, b, generator=g) * (2 / a) ** 0.5, torch.randn(b, generator=g) * 0.1)
        for a, b in itertools.pairwise(sizes)
    ]
    X = torch.rand(n, sizes[0], generator=g)
    y = torch.randint(sizes[-1], (n,), generator=g)
    xi = [(torch.rand(n, m, generator=g) >= p).float() / (1 - p) for m in sizes[1:-1]]
    return [(W.to(dtype), b.to(dtype)) for W, b in layers], X.to(dtype), y, xi

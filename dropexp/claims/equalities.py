"""Claims that two computations are equal, or are not: each is done both ways and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dropexp.claims import small_nets
from dropexp.claims.claim import Finding, equality, holds_if
from dropexp.nets import from_scratch, fused, torch_nn
from dropexp.nets.network_interface import Network
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise

P = 0.5
ROWS = 64


def eval_is_deterministic(networks: Mapping[str, Network] | None = None) -> Iterator[Finding]:
    """f(x) = f(x) in evaluation mode, f(x, ξ) ≠ f(x, ξ′) in training."""
    X, _ = small_nets.batch(ROWS)
    for name, net in (networks or small_nets.implementations()).items():
        same = torch.equal(net.logits(X), net.logits(X))
        g = small_nets.generator()
        off = max_difference(net.logits(X, g), net.logits(X, g))
        in_eval = "are equal, bit for bit" if same else "differ"
        in_training = f"differ by up to {off:.2f}" if off else "are equal"
        evidence = f"two passes in evaluation mode {in_eval}; two stochastic passes {in_training}"
        yield Finding(name, holds_if(same and off > 0), evidence, {"noisy difference": off})


DropoutLayer = Callable[[Tensor], Tensor]
LAYERS: dict[str, Callable[[float], DropoutLayer]] = {  # layers of dropout, by drop probability
    "reference": lambda p: lambda H: Inverted(p).draw(H, small_nets.generator()) * H,
    "this program's layer": torch_nn.Dropout,
    "nn.Dropout": nn.Dropout,
}


def extremes(layers: Mapping[str, Callable[[float], DropoutLayer]] = LAYERS) -> Iterator[Finding]:
    """p = 0: h′ = h. p = 1: h′ = 0."""
    H, _ = small_nets.batch(ROWS)
    for name, dropout in layers.items():
        with small_nets.seeded_global_generator():
            identity, zeros = torch.equal(dropout(0.0)(H), H), not dropout(1.0)(H).any()
        at_0, at_1 = "is" if identity else "is not", "gives zeros" if zeros else "does not give zeros"
        evidence = f"p = 0 {at_0} the identity, bit for bit; p = 1 {at_1}"
        yield Finding(name, holds_if(identity and zeros), evidence)


def no_gradient(network: type[from_scratch.MLP] = from_scratch.MLP) -> Iterator[Finding]:
    """For one example, ξⱼ = 0 makes ∂l/∂W[:, j] and ∂l/∂V[j, :] zero: the weights into unit j and those out of it.

    In a batch every row has its own mask, so other rows keep the unit.
    """
    for subject, n in (("one example", 1), (f"a batch of {ROWS}", ROWS)):
        net = small_nets.scratch_net([None, Inverted(P)], kind=network)
        X, y = small_nets.batch(n)
        result = net.forward(X, net.generator)
        (dW, _), (dV, _) = net.backward(y, result)
        dropped = (torch.as_tensor(result.xi[1]) == 0).any(dim=0)  # in some row
        learns = dropped & ((dW != 0).any(dim=0) | (dV != 0).any(dim=1))
        units, learning = int(dropped.sum()), int(learns.sum())
        where = " in some row" if n > 1 else ""
        evidence = f"{learning} of {units} units that were dropped{where} get a gradient"
        figures = {"dropped": units, "with a gradient": learning}
        yield Finding(subject, holds_if(units > 0 and learning == 0), evidence, figures)


def before_is_after(noises: Mapping[str, tuple[DropoutLayer, Noise]] | None = None) -> Iterator[Finding]:
    """relu(ξ·z) = ξ·relu(z), since ξ ≥ 0; but sigmoid(0·z) = 1/2, and Gaussian ξ can be negative."""
    Z, _ = small_nets.batch(ROWS)
    noises = noises or {
        "ReLU": (from_scratch.relu, Inverted(P)),
        "ReLU under Gaussian noise": (from_scratch.relu, Gaussian(P)),
        "sigmoid": (torch.sigmoid, Inverted(P)),
    }
    for name, (activation, noise) in noises.items():
        xi = noise.draw(Z, small_nets.generator())
        yield equality(name, max_difference(activation(xi * Z), xi * activation(Z)), "activations")


def inverted_is_classic(classic: Noise | None = None) -> Iterator[Finding]:
    """In training (ξ/keep ⊙ h)·W = (ξ ⊙ h)·(W/keep), and at test time h·W = (keep·h)·(W/keep).

    A step of SGD differs: it moves the inverted network's W/keep (1/keep)² times as far.
    """
    keep = 1 - P
    inverted = small_nets.scratch_net([None, Inverted(P)])
    rescaled = small_nets.scratch_net([None, classic or Classic(P)])
    rescaled.layers[1][0].div_(keep)
    X, y = small_nets.batch(ROWS)
    stochastic = [net.logits(X, small_nets.generator()) for net in (inverted, rescaled)]
    yield equality("training passes", max_difference(*stochastic), "outputs under the same masks")
    yield equality("test passes", max_difference(inverted.logits(X), rescaled.logits(X)), "outputs")
    for net in (inverted, rescaled):
        net.step(X, y, lr=0.5)
    after_step = max_difference(inverted.logits(X), rescaled.logits(X))
    yield equality("a step of SGD at the same lr", after_step, "outputs after it")


@dataclass(frozen=True)
class FixedNoise:
    """A noise whose ξ is given."""

    xi: Tensor
    p: float = P
    at_eval: float = 1.0

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.xi


def same_step(kinds: Mapping[str, type[from_scratch.MLP]] | None = None) -> Iterator[Finding]:
    """Under the masks of `nn.Dropout`, networks from scratch give the same outputs and, after a step, weights."""
    X, y = small_nets.batch(ROWS)
    sizes = (20, 32, 32, 4)
    in_torch, masks = small_nets.torch_net(P, sizes), []
    for module in in_torch.net:
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda layer, inputs, H: masks.append((H != 0) / (1 - P)))
    O = in_torch.step(X, y, lr=1.0)
    # Where h is 0, ξ is unknown and has no effect: ξ·0 = 0, and the ReLU passes no gradient.
    noises = [None, *(FixedNoise(xi.to(X.dtype)) for xi in masks)]
    for name, kind in (kinds or {"reference": from_scratch.MLP, "fused": fused.FusedMLP}).items():
        net = small_nets.scratch_net(noises, sizes, kind)
        outputs = max_difference(net.step(X, y, lr=1.0), O)
        weights = map(max_difference, net.weights(), in_torch.weights())
        yield equality(f"a step ({name})", max(outputs, *weights), "outputs and new weights under the same masks")


def max_difference(A: Tensor, B: Tensor) -> float:
    return (A - B).abs().max().item()

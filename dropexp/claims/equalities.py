"""Claims that two computations give the same, or do not: each is done both ways and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dropexp.claims import small_nets
from dropexp.claims.claim import Finding, equality, holds_if
from dropexp.nets import fused, scratch, torch_nn
from dropexp.nets.base import Network
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise

P = 0.5
ROWS = 64


def eval_is_deterministic(networks: Mapping[str, Network] | None = None) -> Iterator[Finding]:
    """f(x) = f(x) in eval mode, f(x, ξ) ≠ f(x, ξ′) in training."""
    X, _ = small_nets.batch(ROWS)
    for name, net in (networks or small_nets.every()).items():
        same = torch.equal(net.logits(X), net.logits(X))
        g = small_nets.generator()
        noisy = (net.logits(X, g) - net.logits(X, g)).abs().max().item()
        words = f"two eval passes {'are the same, bit for bit' if same else 'differ'}; two with the noise on "
        words += f"differ by up to {noisy:.2f}" if noisy else "are the same"
        yield Finding(name, holds_if(same and noisy > 0), words, {"noisy difference": noisy})


LAYERS: dict[str, Callable[[float], Callable[[Tensor], Tensor]]] = {
    "by hand": lambda p: lambda H: Inverted(p).draw(H, small_nets.generator()) * H,
    "this program's layer": torch_nn.Dropout,
    "nn.Dropout": nn.Dropout,
}


def extremes(layers: Mapping[str, Callable[[float], Callable[[Tensor], Tensor]]] = LAYERS) -> Iterator[Finding]:
    """p = 0: h′ = h. p = 1: h′ = 0."""
    H, _ = small_nets.batch(ROWS)
    for name, dropout in layers.items():
        with small_nets.drawn_globally():
            identity, zeros = torch.equal(dropout(0.0)(H), H), not dropout(1.0)(H).any()
        words = f"p = 0 {'is' if identity else 'is not'} the identity, bit for bit; p = 1 "
        yield Finding(name, holds_if(identity and zeros), words + ("gives zeros" if zeros else "does not give zeros"))


def no_gradient(network: type[scratch.MLP] = scratch.MLP) -> Iterator[Finding]:
    """ξⱼ = 0 makes ∂l/∂W[:, j] and ∂l/∂V[j, :] zero, W into unit j and V out of it: so it is for one example.

    In a batch every row has its own mask, and other rows keep the unit.
    """
    for what, n in (("one example", 1), (f"a batch of {ROWS}", ROWS)):
        net = small_nets.by_hand([None, Inverted(P)], kind=network)
        X, y = small_nets.batch(n)
        noisy, O = net.forward(X, net.generator)
        (dW, _), (dV, _) = net.backward(y, noisy, O)
        dropped = (torch.as_tensor(noisy.xi[1]) == 0).any(dim=0)  # in some row
        moved = dropped & ((dW != 0).any(dim=0) | (dV != 0).any(dim=1))
        units, learning = int(dropped.sum()), int(moved.sum())
        where = " in some row" if n > 1 else ""
        evidence = f"{learning} of {units} units that were dropped{where} get a gradient"
        figures = {"dropped": units, "with a gradient": learning}
        yield Finding(what, holds_if(units > 0 and learning == 0), evidence, figures)


def before_is_after(noises: Mapping[str, tuple[Callable[[Tensor], Tensor], Noise]] | None = None) -> Iterator[Finding]:
    """relu(ξ·z) = ξ·relu(z), since ξ ≥ 0; but sigmoid(0·z) = 1/2, and Gaussian ξ may be negative."""
    Z, _ = small_nets.batch(ROWS)
    noises = noises or {
        "ReLU": (scratch.relu, Inverted(P)),
        "ReLU under Gaussian noise": (scratch.relu, Gaussian(P)),
        "sigmoid": (torch.sigmoid, Inverted(P)),
    }
    for name, (activation, noise) in noises.items():
        xi = noise.draw(Z, small_nets.generator())
        off = (activation(xi * Z) - xi * activation(Z)).abs().max().item()
        yield equality(name, off, "activations")


def inverted_is_classic(classic: Noise | None = None) -> Iterator[Finding]:
    """ξ/keep on h before W is ξ on h before W/keep, and h·W is keep·h·(W/keep): in training and at test.

    As trainings they differ: a step of SGD moves the inverted net's W/keep (1/keep)² times as far.
    """
    keep = 1 - P
    inverted, other = small_nets.by_hand([None, Inverted(P)]), small_nets.by_hand([None, classic or Classic(P)])
    other.layers[1][0].div_(keep)
    X, y = small_nets.batch(ROWS)
    passes = (net.logits(X, small_nets.generator()) for net in (inverted, other))
    yield equality("training passes", apart(*passes), "outputs under the same masks")
    yield equality("test passes", apart(inverted.logits(X), other.logits(X)), "outputs")
    for net in (inverted, other):
        net.step(X, y, lr=0.5)
    yield equality("a step of SGD at the same lr", apart(inverted.logits(X), other.logits(X)), "outputs after it")


@dataclass(frozen=True)
class Given:
    """A noise that is known beforehand."""

    xi: Tensor
    p: float = P
    at_eval: float = 1.0

    def draw(self, H: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.xi


def same_step(kinds: Mapping[str, type[scratch.MLP]] | None = None) -> Iterator[Finding]:
    """The masks that `nn.Dropout` drew, given to the networks by hand: equal outputs, equal weights after a step."""
    X, y = small_nets.batch(ROWS)
    sizes = (20, 32, 32, 4)
    concise, masks = small_nets.concise(P, sizes), []
    for module in concise.net:
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda layer, given, H: masks.append((H != 0) / (1 - P)))
    O = concise.step(X, y, lr=1.0)
    # where h is 0 its ξ is not known, and makes no difference: ξ·0 = 0, and the ReLU lets no gradient through
    noises = [None, *(Given(xi.to(X.dtype)) for xi in masks)]
    for name, kind in (kinds or {"by hand": scratch.MLP, "tuned": fused.FusedMLP}).items():
        net = small_nets.by_hand(noises, sizes, kind)
        off = apart(net.step(X, y, lr=1.0), O)
        off = max(off, *map(apart, net.weights(), concise.weights()))
        yield equality(f"a step ({name})", off, "outputs and new weights under the same masks")


def apart(A: Tensor, B: Tensor) -> float:
    return (A - B).abs().max().item()

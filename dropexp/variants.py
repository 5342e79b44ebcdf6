"""The table of variants: what each name builds, and which config keys it has no use for.

Imports torch only when a network is built, since the config's checks read the table too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dropexp.config import Config
    from dropexp.noise import Noise
    from dropexp.scratch import SGD, Layer

NUM_INPUTS, NUM_OUTPUTS = 784, 10  # a Fashion-MNIST image has 28 × 28 pixels and one of ten classes
NUM_TRAIN = 60_000  # training images


class Network(Protocol):
    """What the loop trains."""

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """Train on a batch; returns the outputs of the noisy pass."""
        ...

    def logits(self, X: Tensor) -> Tensor:
        """The outputs in eval mode."""
        ...

    def state(self) -> dict[str, Any]:
        """Parameters and optimiser, for a checkpoint."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        ...


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    what: str
    build: Callable[[Config, torch.Generator, torch.Generator], Network]
    unused: frozenset[str]  # keys that cannot change this variant's numbers


def build(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    """The network that the config asks for, on the device of the noise generator.

    `init` draws the initial parameters, equal for all variants; `noise` draws the dropout.
    """
    return VARIANTS[config.variant].build(config, init, noise)


def _by_hand(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    from dropexp import fused, scratch
    from dropexp.noise import Inverted, Randn2019

    kinds: dict[str, Callable[[float], Noise]] = {"rand": Inverted, "randn-2019": Randn2019}
    noises = [] if config.variant == "none" else [kinds[config.mask](p) for p in config.drop_probs]
    network = fused.MLP if config.fused else scratch.MLP
    return network(
        _layers(config, init, noise.device),
        noises,
        noise,
        _sgd(config),
        output_relu=config.output_relu,
        noise_at_eval=config.noise_at_eval,
    )


def _torch_nn(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    import torch

    from dropexp import modules

    with torch.random.fork_rng(devices=[]):  # nn.Linear initialises itself from the global generator
        net = modules.mlp(_sizes(config), config.drop_probs, output_relu=config.output_relu)
    return modules.Network(
        net,
        _layers(config, init, noise.device),
        noise,
        _sgd(config),
        noise_at_eval=config.noise_at_eval,
    )


def _sizes(config: Config) -> list[int]:
    return [NUM_INPUTS, *config.hidden, NUM_OUTPUTS]


def _layers(config: Config, init: torch.Generator, device: torch.device) -> list[Layer]:
    from dropexp import scratch

    layers = scratch.init_params(_sizes(config), init, config.init, config.init_std, config.init_bias)
    return [(W.to(device), b.to(device)) for W, b in layers]


def _sgd(config: Config) -> SGD:
    from dropexp import scratch

    return scratch.SGD(config.momentum, config.weight_decay, config.batch_size if config.sgd == "book" else 1)


VARIANTS = {
    "none": Variant("no dropout, by hand", _by_hand, frozenset({"drop_probs", "mask", "noise_at_eval"})),
    "nn": Variant("nn.Dropout in a torch.nn network", _torch_nn, frozenset({"mask", "fused"})),
    "scratch": Variant("dropout from scratch, by hand", _by_hand, frozenset()),
}

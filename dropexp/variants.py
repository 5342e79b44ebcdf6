"""The table of variants: what each name builds, and which config keys it has no use for.

Imports torch only when a network is built, since the config's checks read the table too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dropexp import scratch
    from dropexp.config import Config
    from dropexp.noise import Noise
    from dropexp.scratch import SGD, Layer

NUM_INPUTS, NUM_OUTPUTS = 784, 10  # a Fashion-MNIST image has 28 × 28 pixels and one of ten classes
NUM_TRAIN = 60_000  # training images

# The keys that `stack.py` knows. One that is added to the config keeps its runs alone until it is in one of these.
EACH_ITS_OWN = frozenset(
    {"device", "variant", "seed", "drop_probs", "mask", "lr", "sgd", "init", "init_std", "init_bias"}
)
ALIKE = frozenset(
    {"hidden", "batch_size", "epochs", "momentum", "weight_decay", "output_relu", "eval_train"}
    | {"train_size", "validation_size"}
)


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

    `init` draws the initial parameters, equal for all variants; `noise` draws the dropout. Raises RuntimeError where
    the device lacks the config's precision.
    """
    if config.precision == "bf16":
        from dropexp import products

        products.require_bf16(noise.device)
    return VARIANTS[config.variant].build(config, init, noise)


def shape(config: Config) -> str | None:
    """What runs must have in common to train as one stack; None for a run that no stack can train."""
    used = config.settings("")
    if config.variant not in ("none", "scratch") or not used.keys() <= EACH_ITS_OWN | ALIKE:
        return None
    return str([(key, used.get(key)) for key in sorted(ALIKE)])


def page(config: Config, init: torch.Generator, noise: torch.Generator) -> scratch.MLP:
    """What a stack trains: the page itself, of a config that has a `shape`."""
    return _by_hand(config.model_copy(update={"fused": False}), init, noise)


def _by_hand(config: Config, init: torch.Generator, noise: torch.Generator) -> scratch.MLP:
    from dropexp import fused, products, scratch
    from dropexp.noise import Inverted, Randn2019

    kinds: dict[str, Callable[[float], Noise]] = {"rand": Inverted, "randn-2019": Randn2019}
    noises = [] if config.variant == "none" else [kinds[config.mask](p) for p in config.drop_probs]
    tuned = config.fused and noise.device.type != "mps"  # where nobody has tried it
    network: Callable[..., scratch.MLP] = fused.MLP if tuned else scratch.MLP
    if config.precision == "bf16":
        network = partial(network, mm=products.bf16_mm)
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

    from dropexp import captured, modules

    network = captured.Network if noise.device.type == "cuda" else modules.Network
    with torch.random.fork_rng(devices=[]):  # nn.Linear initialises itself from the global generator
        net = modules.mlp(_sizes(config), config.drop_probs, output_relu=config.output_relu)
    return network(
        net,
        _layers(config, init, noise.device),
        noise,
        _sgd(config),
        noise_at_eval=config.noise_at_eval,
        bf16=config.precision == "bf16",
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

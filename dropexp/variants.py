"""The table of variants: what each name builds, and which config keys it has no use for.

Imports torch only when a network is built, since the config's checks read the table too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from dropexp import schedules

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dropexp import linreg, scratch
    from dropexp.config import Config
    from dropexp.noise import Noise
    from dropexp.schedules import DropSchedule
    from dropexp.sgd import SGD, Layer

    NoiseOf = Callable[[str, float], Noise]  # of the key `mask` and a drop probability

NUM_INPUTS, NUM_OUTPUTS = 784, 10  # a Fashion-MNIST image has 28 × 28 pixels and one of ten classes
NUM_TRAIN = 60_000  # training images

# What `linreg.py` knows of the config.
LINREG_VARIANTS = ("scratch", "nn")
LINREG_ROWS = 10_000  # so few that torch sums their losses in one piece on any number of threads
LINREG_KEYS = frozenset(
    {"variant", "task", "seed", "lr", "epochs", "batch_size", "weight_decay", "l1"} | {"train_size", "validation_size"}
)

# The keys that `stack.py` knows. One that is added to the config keeps its runs alone until it is in one of these.
EACH_ITS_OWN = frozenset(
    {"device", "plugin", "variant", "seed", "drop_probs", "input_drop_prob", "mask", "drop_schedule", "drop_epochs"}
    | {"input_noise_std", "label_smoothing", "lr", "sgd", "weight_decay", "l1", "max_norm", "early_stopping"}
    | {"init", "init_std", "init_bias"}
)
ALIKE = frozenset(
    {"hidden", "placement", "batch_size", "epochs", "momentum", "nesterov", "lr_schedule", "output_relu"}
    | {"eval_train", "train_size", "validation_size", "probes"}
)


class Network(Protocol):
    """What the loop trains."""

    noise_at_eval: bool  # whether `logits` draws noise in eval mode too, from the training's stream

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on a batch, with this share of the training done; returns the outputs of the noisy pass."""
        ...

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The outputs in eval mode, or with the noise on, drawn by `generator`."""
        ...

    def hidden(self, X: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """What each hidden layer passes on, without noise or with noise drawn by `generator`."""
        ...

    def weights(self) -> list[Tensor]:
        """W (num_inputs, num_outputs) of each layer."""
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

    build: Callable[[Config, torch.Generator, torch.Generator], Network]
    noise: NoiseOf | None = None  # what networks by hand draw
    on_weights: bool = False  # DropConnect
    plugin: str = ""  # of a plugin's: what tells its text from others
    unused: frozenset[str] = frozenset()  # keys that cannot change this variant's numbers


def build(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    """The network that the config asks for, on the device of the noise generator.

    `init` draws the initial parameters, equal for all variants; `noise` draws the dropout. Raises RuntimeError where
    the device lacks the config's precision.
    """
    if config.precision == "bf16":
        from dropexp import products

        products.require_bf16(noise.device)
    return VARIANTS[config.variant].build(config, init, noise)


def regression(config: Config, init: torch.Generator) -> linreg.Model:
    """The model of the task linear-regression, on the CPU."""
    from dropexp import linreg

    model = linreg.Concise if config.variant == "nn" else linreg.Scratch
    return model(*linreg.init_params(init), config.weight_decay, config.l1)


def shape(config: Config) -> str | None:
    """What runs must have in common to train as one stack; None for a run that no stack can train."""
    kind, used = VARIANTS[config.variant], config.settings("")
    if kind.build is not _by_hand or not used.keys() <= EACH_ITS_OWN | ALIKE:
        return None
    return str([kind.on_weights, *((key, used.get(key)) for key in sorted(ALIKE))])


def page(config: Config, init: torch.Generator, noise: torch.Generator) -> scratch.MLP:
    """What a stack trains: the page itself, of a config that has a `shape`."""
    return _by_hand(config.model_copy(update={"fused": False}), init, noise)


def _by_hand(config: Config, init: torch.Generator, noise: torch.Generator) -> scratch.MLP:
    from dropexp import fused, products, scratch

    kind = VARIANTS[config.variant]
    mask = "rand" if "mask" in kind.unused else config.mask
    tuned = config.fused and noise.device.type != "mps"  # where nobody has tried it
    network: Callable[..., scratch.MLP] = fused.MLP if tuned else scratch.MLP
    if config.precision == "bf16":
        network = partial(network, mm=products.bf16_mm)
    return network(
        _layers(config, init, noise.device),
        [kind.noise(mask, p) if p else None for p in drop_probs(config)] if kind.noise else [],
        noise,
        _sgd(config),
        placement="weights" if kind.on_weights else config.placement,
        schedule=_drop_schedule(config),
        input_noise_std=config.input_noise_std,
        label_smoothing=config.label_smoothing,
        output_relu=config.output_relu,
        noise_at_eval=config.noise_at_eval,
    )


def _torch_nn(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    import torch

    from dropexp import captured, modules

    schedule = _drop_schedule(config)
    network = captured.Network if noise.device.type == "cuda" and schedule is None else modules.Network
    with torch.random.fork_rng(devices=[]):  # nn.Linear initialises itself from the global generator
        net = modules.mlp(
            _sizes(config),
            [torch.nn.Dropout(p) if p else None for p in drop_probs(config)],
            before_relu=config.placement == "before",
            input_noise_std=config.input_noise_std,
            output_relu=config.output_relu,
        )
    return network(
        net,
        _layers(config, init, noise.device),
        noise,
        _sgd(config),
        noise_at_eval=config.noise_at_eval,
        bf16=config.precision == "bf16",
        schedule=schedule,
        label_smoothing=config.label_smoothing,
    )


def drop_probs(config: Config) -> list[float]:
    """Those of what each layer reads: of the images, then of each hidden layer."""
    return [config.input_drop_prob, *config.drop_probs]


def _sizes(config: Config) -> list[int]:
    return [NUM_INPUTS, *config.hidden, NUM_OUTPUTS]


def num_params(config: Config) -> int:
    """The weights and biases of the network that the config asks for, counted."""
    return sum((n + 1) * m for n, m in itertools.pairwise(_sizes(config)))


def _layers(config: Config, init: torch.Generator, device: torch.device) -> list[Layer]:
    from dropexp import scratch

    layers = scratch.init_params(_sizes(config), init, config.init, config.init_std, config.init_bias)
    return [(W.to(device), b.to(device)) for W, b in layers]


def _sgd(config: Config) -> SGD:
    from dropexp.sgd import SGD

    return SGD(
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        l1=config.l1,
        max_norm=config.max_norm,
        divisor=config.batch_size if config.sgd == "book" else 1,
    )


def _drop_schedule(config: Config) -> DropSchedule | None:
    share = 0.5 if config.drop_epochs is None else config.drop_epochs / config.epochs
    match config.drop_schedule:
        case "early":
            return schedules.early(share)
        case "late":
            return schedules.late(share)
        case "curriculum":
            return schedules.curriculum
        case "random":
            return schedules.random_rate
    return None


def _noise(name: str) -> NoiseOf:
    """The noise of this name in noise.py, by `mask`: "per-batch" has one mask for all rows, "randn-2019" a slip."""

    def made(mask: str, p: float) -> Noise:
        from dropexp import noise

        if mask == "randn-2019":
            return noise.Randn2019(p)
        kind = getattr(noise, name)
        drawn: Noise = kind(p, shared=True) if mask == "per-batch" else kind(p)
        return drawn

    return made


being_loaded: list[str] = []  # what tells the text of a plugin from others, while its file runs

_OF_UNITS = frozenset({"mask", "placement"})
_OF_NOISE = frozenset(
    {"drop_probs", "input_drop_prob", "mask", "placement", "drop_schedule", "drop_epochs", "noise_at_eval"}
)
VARIANTS = {
    "none": Variant(_by_hand, unused=_OF_NOISE),
    "nn": Variant(_torch_nn, unused=frozenset({"mask", "fused"})),
    "scratch": Variant(_by_hand, _noise("Inverted")),
    "unscaled": Variant(_by_hand, _noise("Unscaled")),
    "classic": Variant(_by_hand, _noise("Classic")),
    "gaussian": Variant(_by_hand, _noise("Gaussian"), unused=frozenset({"mask"})),
    "three-point": Variant(_by_hand, _noise("ThreePoint"), unused=frozenset({"mask"})),
    "dropconnect": Variant(_by_hand, _noise("Inverted"), on_weights=True, unused=_OF_UNITS),
    "dropconnect-unscaled": Variant(_by_hand, _noise("Unscaled"), on_weights=True, unused=_OF_UNITS),
}


def register(name: str, noise: Callable[[float], Noise]) -> None:
    """Add a variant by hand with this noise, made of a drop probability: what a plugin's file calls.

    A noise is a frozen dataclass with a field p and what `noise.Noise` asks for. Raises ValueError if there is such a
    variant already, RuntimeError outside a file that is being loaded: its text is part of the hash of its runs.
    """
    if not being_loaded:
        raise RuntimeError("register is for the file of a plugin: dropexp train --plugin FILE, or load_plugin(FILE)")
    if name in VARIANTS:
        raise ValueError(f"there is a variant {name!r} already")
    VARIANTS[name] = Variant(_by_hand, lambda mask, p: noise(p), plugin=being_loaded[-1], unused=frozenset({"mask"}))

"""Build the network that a config defines."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import torch

from dropexp.config.schema import Config
from dropexp.config.tasks import NUM_INPUTS, NUM_OUTPUTS
from dropexp.config.variant_table import VARIANTS, Variant
from dropexp.nets import cuda_graph, dropconnect, from_scratch, fused, linreg, matmul, schedules, torch_nn
from dropexp.nets import noise as noises
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.network_interface import Network
from dropexp.nets.noise import Noise
from dropexp.nets.schedules import DropSchedule
from dropexp.nets.sgd import SGD, Layer


def network(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    """Build the network on the device of the generator `noise`.

    `init` samples the initial parameters, which are equal for all variants; `noise` samples the dropout noise. Raises
    RuntimeError if the device lacks the config's precision.
    """
    if config.precision == "bf16":
        matmul.require_bf16(noise.device)
    if VARIANTS[config.variant].builder == "torch_nn":
        return _torch_nn(config, init, noise)
    return _from_scratch(config, init, noise)


def regression(config: Config, init: torch.Generator) -> linreg.Model:
    """Build the model of the task linear-regression, on the CPU."""
    model = linreg.Concise if config.variant == "nn" else linreg.Scratch
    return model(*linreg.init_params(init), config.weight_decay, config.l1)


def reference_mlp(config: Config, init: torch.Generator, noise: torch.Generator) -> from_scratch.MLP:
    """Build the reference implementation, which a stack trains, of a config that has a `stack_shape`."""
    return _from_scratch(config.model_copy(update={"fused": False}), init, noise)


def drop_probs(config: Config) -> list[float]:
    """Return the drop probability of each layer's input: of the images, then of each hidden layer."""
    return [config.input_drop_prob, *config.drop_probs]


def num_params(config: Config) -> int:
    """Count the weights and biases of the network."""
    return sum((n + 1) * m for n, m in itertools.pairwise(_sizes(config)))


def _from_scratch(config: Config, init: torch.Generator, noise: torch.Generator) -> from_scratch.MLP:
    variant = VARIANTS[config.variant]
    kind: Callable[..., from_scratch.MLP] = from_scratch.MLP
    if variant.builder == "dropconnect":
        kind = dropconnect.DropConnectMLP
    elif config.fused and noise.device.type != "mps":  # untested there
        kind = fused.FusedMLP
    if config.precision == "bf16":
        kind = partial(kind, mm=matmul.bf16_mm)
    return kind(
        _layers(config, init, noise.device),
        [_noise(variant, config.mask, p) if p else None for p in drop_probs(config)] if _has_noise(variant) else [],
        noise,
        _optimizer(config),
        placement="weights" if variant.on_weights else config.placement,
        schedule=_drop_schedule(config),
        input_noise_std=config.input_noise_std,
        label_smoothing=config.label_smoothing,
        output_relu=config.output_relu,
        noise_at_eval=config.noise_at_eval,
    )


def _torch_nn(config: Config, init: torch.Generator, noise: torch.Generator) -> Network:
    schedule = _drop_schedule(config)
    kind = cuda_graph.GraphedMLP if noise.device.type == "cuda" and schedule is None else torch_nn.TorchMLP
    with torch.random.fork_rng(devices=[]):  # nn.Linear initialises itself from the global generator
        net = torch_nn.mlp(
            _sizes(config),
            [torch.nn.Dropout(p) if p else None for p in drop_probs(config)],
            before_relu=config.placement == "before",
            input_noise_std=config.input_noise_std,
            output_relu=config.output_relu,
        )
    return kind(
        net,
        _layers(config, init, noise.device),
        noise,
        _optimizer(config),
        noise_at_eval=config.noise_at_eval,
        bf16=config.precision == "bf16",
        schedule=schedule,
        label_smoothing=config.label_smoothing,
    )


def _has_noise(variant: Variant) -> bool:
    return variant.noise is not None or variant.factory is not None


def _noise(variant: Variant, mask: str, p: float) -> Noise:
    """Make a variant's noise for one drop probability, as the config key `mask` defines it."""
    if variant.factory is not None:
        made: Noise = variant.factory(p)
        return made
    has_mask = "mask" not in variant.unused
    if has_mask and mask == "randn-2019":
        return noises.Randn2019(p)
    kind: Callable[..., Noise] = getattr(noises, str(variant.noise))
    return kind(p, shared=True) if has_mask and mask == "per-batch" else kind(p)


def _sizes(config: Config) -> list[int]:
    return [NUM_INPUTS, *config.hidden, NUM_OUTPUTS]


def _layers(config: Config, init: torch.Generator, device: torch.device) -> list[Layer]:
    layers = from_scratch.init_params(_sizes(config), init, config.init, config.init_std, config.init_bias)
    return [(W.to(device), b.to(device)) for W, b in layers]


def _optimizer(config: Config) -> Optimizer:
    if config.optimizer == "sgd":
        return SGD(
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            l1=config.l1,
            max_norm=config.max_norm,
            divisor=config.batch_size if config.sgd == "book" else 1,
        )
    return Adam(
        decoupled=config.optimizer == "adamw",
        weight_decay=config.weight_decay,
        l1=config.l1,
        max_norm=config.max_norm,
    )


def _drop_schedule(config: Config) -> DropSchedule | None:
    share = 0.5 if config.drop_epochs is None else config.drop_epochs / config.epochs
    match config.drop_schedule:
        case "early":
            return schedules.early(share)
        case "linear-decay":
            return schedules.linear_decay(share)
        case "late":
            return schedules.late(share)
        case "curriculum":
            return schedules.curriculum
        case "random":
            return schedules.random_rate
    return None

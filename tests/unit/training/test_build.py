"""Networks are built as the config requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS
from dropexp.nets import from_scratch, torch_nn
from dropexp.nets.adam import Adam
from dropexp.nets.dropconnect import DropConnectMLP
from dropexp.nets.network_interface import Network
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.sgd import SGD
from dropexp.training import build
from dropexp.training.rng import stream


def built(**keys: Any) -> Network:
    config = Config.model_validate({"init": "torch", "drop_probs": [0, 0], **keys})
    return build.network(config, stream(0, "init"), stream(0, "noise"))


def built_from_scratch(**keys: Any) -> from_scratch.MLP:
    net = built(**keys)
    assert isinstance(net, from_scratch.MLP)
    return net


NOISES: dict[str, Callable[..., Noise]] = {
    "scratch": Inverted,
    "unscaled": Unscaled,
    "classic": Classic,
    "gaussian": Gaussian,
    "three-point": ThreePoint,
    "dropconnect": Inverted,
    "dropconnect-unscaled": Unscaled,
    "dropconnect-per-example": Inverted,
}


def test_the_tests_cover_every_variant() -> None:
    assert set(VARIANTS) == {"none", "nn", *NOISES}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("variant", NOISES)
def test_a_variant_from_scratch_has_noise_where_the_probability_is_over_0(variant: str, fused: bool) -> None:
    net = built_from_scratch(variant=variant, input_drop_prob=0.1, drop_probs=[0, 0.5], fused=fused)
    assert net.noises == [NOISES[variant](0.1), None, NOISES[variant](0.5)]
    assert net.placement == ("weights" if variant.startswith("dropconnect") else "after")
    assert built_from_scratch(variant=variant).noises == [None] * 3


@pytest.mark.parametrize("variant", NOISES)
def test_one_variant_has_masks_on_weights_for_each_example(variant: str) -> None:
    assert isinstance(built_from_scratch(variant=variant), DropConnectMLP) == (variant == "dropconnect-per-example")


@pytest.mark.parametrize("variant", NOISES)
def test_placement_applies_to_noise_on_units(variant: str) -> None:
    placement = built_from_scratch(variant=variant, placement="before").placement
    assert placement == ("weights" if variant.startswith("dropconnect") else "before")


@pytest.mark.parametrize("variant", NOISES)
def test_mask_per_batch_applies_to_masks_of_units_only(variant: str) -> None:
    shared = {"shared": True} if variant in ("scratch", "unscaled", "classic") else {}
    net = built_from_scratch(variant=variant, mask="per-batch", drop_probs=[0.2, 0.5])
    assert net.noises == [None, *(NOISES[variant](p, **shared) for p in (0.2, 0.5))]


@pytest.mark.parametrize("variant", sorted(set(NOISES) - {"unscaled", "classic"}))
def test_mask_randn_2019_applies_to_scratch_only(variant: str) -> None:
    kind = Randn2019 if variant == "scratch" else NOISES[variant]
    assert built_from_scratch(variant=variant, mask="randn-2019", drop_probs=[0, 0.5]).noises == [None, None, kind(0.5)]


def test_none_has_no_dropout_but_can_have_noise_on_images() -> None:
    net = built_from_scratch(variant="none", input_drop_prob=0.5, drop_probs=[0.5, 0.5], input_noise_std=0.1)
    assert (net.noises, net.input_noise_std) == ([None] * 3, 0.1)


def test_nn_has_torchs_dropout_where_the_probability_is_over_0() -> None:
    net = built(variant="nn", input_drop_prob=0.1, drop_probs=[0, 0.5], placement="before", input_noise_std=0.2)
    assert isinstance(net, torch_nn.TorchMLP)
    assert [str(layer).partition("(")[0] for layer in net.net] == [
        *("InputNoise", "Dropout", "Linear", "ReLU", "Linear", "Dropout", "ReLU", "Linear")
    ]
    assert [p for _, p in net.dropouts] == [0.1, 0.5]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gets_the_requested_sgd(variant: str) -> None:
    requested: dict[str, Any] = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "l1": 0.2, "max_norm": 3.0}
    net = built(variant=variant, sgd="book", label_smoothing=0.1, **requested)
    assert isinstance(net, (from_scratch.MLP, torch_nn.TorchMLP))
    assert net.optimizer == SGD(divisor=256, **requested)
    smoothed = net.targets[0] if isinstance(net, from_scratch.MLP) else net.loss.label_smoothing
    assert torch.allclose(torch.as_tensor(smoothed), torch.tensor([0.91] + [0.01] * 9 if variant != "nn" else 0.1))


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gets_the_requested_adam(variant: str, optimizer: str) -> None:
    requested: dict[str, Any] = {"weight_decay": 0.1, "l1": 0.2, "max_norm": 3.0}
    net = built(variant=variant, optimizer=optimizer, lr=0.001, **requested)
    assert isinstance(net, (from_scratch.MLP, torch_nn.TorchMLP))
    assert net.optimizer == Adam(decoupled=optimizer == "adamw", **requested)
    if isinstance(net, torch_nn.TorchMLP):
        kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.Adam
        assert type(net.torch_optimizer) is kind


@pytest.mark.parametrize("noise_at_eval", [False, True])
@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
def test_a_run_in_bf16_trains_and_evaluates_in_bf16(
    variant: str, noise_at_eval: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)  # or emulated
    X, y = torch.rand(256, 784), torch.randint(10, (256,))
    nets = [
        built(variant=variant, precision=precision, noise_at_eval=noise_at_eval) for precision in ("float32", "bf16")
    ]
    for outputs in ([net.step(X, y, 0.1) for net in nets], [net.logits(X) for net in nets]):
        difference = (outputs[0] - outputs[1]).abs().max() / outputs[0].abs().max()
        assert 1e-4 < difference < 0.1
        assert outputs[1].dtype == torch.float32

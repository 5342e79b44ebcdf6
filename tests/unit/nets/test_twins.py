"""Every noise, at every place, on the page and tuned, is what a torch.nn twin with autograd makes of the same ξ."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from helpers.autograd import Injected, problem, worst_error
from torch import Tensor, nn
from torch.nn import functional as F

from dropexp.nets import fused, scratch
from dropexp.nets.bitmask import BitMask, draws
from dropexp.nets.noise import Classic, Gaussian, Inverted, Mask, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.scratch import Placement
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.torch_nn import InputNoise, TorchMLP, mlp

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = [784, 96, 64, 10]
NOISES: list[Noise] = [
    Inverted(0.5),
    Inverted(0.2, shared=True),
    Unscaled(0.5),
    Classic(0.5),
    Randn2019(0.5),
    Gaussian(0.5),
    ThreePoint(0.5),
]
PLACES: list[Placement] = ["after", "before", "weights"]
NETWORKS = [scratch.MLP, fused.FusedMLP]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def copies(layers: list[Layer]) -> list[Layer]:
    return [(W.clone(), b.clone()) for W, b in layers]


class Twin(nn.Module):
    """The network in torch.nn, in float64, with ξ[i] on what layer i reads: the images, then the hidden layers."""

    def __init__(self, layers: list[Layer], xi: list[Tensor], placement: Placement) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(len(W), len(b), dtype=torch.float64) for W, b in layers)
        self.xi = [x.double() for x in xi]
        self.placement = placement
        with torch.no_grad():
            for linear, (W, b) in zip(self.linears, layers, strict=True):
                cast(nn.Linear, linear).weight.copy_(W.T)
                cast(nn.Linear, linear).bias.copy_(b)

    def forward(self, X: Tensor) -> Tensor:
        H = X.double()
        for i, linear in enumerate(self.linears):
            assert isinstance(linear, nn.Linear)
            xi, weight = self.xi[i], linear.weight
            if self.placement == "before":
                H = F.relu(H * xi) if i > 0 else H * xi
            else:
                H = F.relu(H) if i > 0 else H
                if self.placement == "after":
                    H = H * xi
                else:
                    weight = weight * xi.T
            H = F.linear(H, weight, linear.bias)
        return H

    def layers(self) -> list[Layer]:
        """The parameters in the page's layout."""
        return [(one.weight.detach().T, one.bias.detach()) for one in self.linears if isinstance(one, nn.Linear)]

    def grads(self) -> list[Layer]:
        """The gradients in the page's layout."""
        weights = [one.weight.grad for one in self.linears if isinstance(one, nn.Linear)]
        biases = [one.bias.grad for one in self.linears if isinstance(one, nn.Linear)]
        return [(W.T, b) for W, b in zip(weights, biases, strict=True) if W is not None and b is not None]


def drawn(noise: Noise, layers: list[Layer], n: int, placement: Placement) -> list[Tensor]:
    """One ξ for each layer, in its whole shape."""
    source = generator(5)
    shapes = [W.shape if placement == "weights" else (n, len(W)) for W, _ in layers]
    return [noise.draw(torch.empty(shape), source).expand(shape) for shape in shapes]


def known(xi: list[Tensor], kind: type[scratch.MLP], placement: Placement) -> list[Noise | None]:
    """Noises that give these; weights lie transposed in the tuned network, and so does what it draws for them."""
    return [Injected(x.T if placement == "weights" and kind is fused.FusedMLP else x) for x in xi]


@pytest.mark.parametrize("placement", PLACES)
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_the_page_has_the_twins_outputs_and_gradients_in_float64(noise: Noise, placement: Placement) -> None:
    layers, X, y, _ = problem(SIZES, 64, dtype=torch.float64)
    xi = drawn(noise, layers, 64, placement)
    twin = Twin(layers, xi, placement)
    outputs = twin(X)
    nn.CrossEntropyLoss()(outputs, y).backward()
    page = scratch.MLP(copies(layers), known(xi, scratch.MLP, placement), generator(), SGD(), placement=placement)
    computed, O = page.forward(X, generator())
    assert (O - outputs).abs().max() <= 1e-12 * outputs.abs().max()
    assert worst_error(page.backward(y, computed, O), twin.grads()) < 1e-12


@pytest.mark.parametrize("placement", PLACES)
@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_both_networks_have_the_twins_outputs_and_gradients_in_float32(
    kind: type[scratch.MLP], noise: Noise, placement: Placement
) -> None:
    layers, X, y, _ = problem(SIZES, 64)
    xi = drawn(noise, layers, 64, placement)
    twin = Twin(layers, xi, placement)
    outputs = twin(X)
    nn.CrossEntropyLoss()(outputs, y).backward()
    net = kind(copies(layers), known(xi, kind, placement), generator(), SGD(momentum=0.9), placement=placement)
    O = net.step(X, y, 0.0)
    assert (O - outputs).abs().max() <= 1e-6 * outputs.abs().max()
    assert worst_error(net.velocities, twin.grads()) <= 1e-6  # the first velocity is the gradient


REGULARISERS: list[tuple[SGD, float]] = [
    (SGD(), 0.1),
    (SGD(weight_decay=0.01), 0.0),
    (SGD(l1=0.001), 0.0),
    (SGD(momentum=0.9), 0.0),
    (SGD(momentum=0.9, nesterov=True), 0.0),
    (SGD(max_norm=1.2), 0.0),
    (SGD(0.9, 0.01, 4, nesterov=True, l1=0.001, max_norm=1.2), 0.1),
]


@pytest.mark.parametrize("placement", PLACES)
@pytest.mark.parametrize(("sgd", "label_smoothing"), REGULARISERS, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_three_steps_are_those_of_torchs_optimiser_and_loss(
    kind: type[scratch.MLP], sgd: SGD, label_smoothing: float, placement: Placement
) -> None:
    exact = kind is scratch.MLP
    layers, X, y, _ = problem([40, 24, 16, 10], 64, dtype=torch.float64 if exact else torch.float32)
    xi = drawn(Inverted(0.5), layers, 64, placement)
    net = kind(
        copies(layers),
        known(xi, kind, placement),
        generator(),
        sgd,
        placement=placement,
        label_smoothing=label_smoothing,
    )
    twin, loss = Twin(layers, xi, placement), nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    weights, biases = ([p for name, p in twin.named_parameters() if name.endswith(end)] for end in ("weight", "bias"))
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": sgd.weight_decay}, {"params": biases}]
    optimizer = torch.optim.SGD(groups, lr=0.3 / sgd.divisor, momentum=sgd.momentum, nesterov=sgd.nesterov)
    for _ in range(3):  # the second is the first to feel momentum
        optimizer.zero_grad()
        (loss(twin(X), y) + sgd.l1 * torch.stack([W.abs().sum() for W in weights]).sum()).backward()
        optimizer.step()
        if sgd.max_norm:
            with torch.no_grad():
                for W in weights[:-1]:
                    W.copy_(torch.renorm(W, 2, 0, sgd.max_norm))
        net.step(X, y, 0.3)
    tolerance = (1e-6 if sgd.max_norm else 1e-12) if exact else 1e-5  # torch.renorm divides by norm + 1e-7
    assert worst_error(net.layers, twin.layers()) < tolerance
    assert worst_error(net.layers, layers) > 1e-3  # they did move


# torch.nn's own dropout


def masks_of(net: nn.Sequential) -> list[Tensor]:
    """ξ of each nn.Dropout of the network, appended as it is drawn, from now on.

    Where the layer read 0 its output does not tell ξ, and nothing depends on it: taken as dropped.
    """
    xi: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Dropout)
        xi.append((output.detach() != 0).to(output.dtype) / (1 - module.p))

    for layer in net:
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(keep)
    return xi


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("input_drop_prob", [0.0, 0.2])
@pytest.mark.parametrize("sgd", [SGD(momentum=0.9), SGD(0.9, 0.01, nesterov=True, l1=0.001, max_norm=1.2)], ids=str)
def test_the_page_steps_as_the_network_with_nn_dropout_does_under_the_masks_that_it_drew(
    sgd: SGD, input_drop_prob: float, before: bool
) -> None:
    layers, X, y, _ = problem([40, 24, 16, 10], 64, dtype=torch.float64)
    sites = [p for p in (input_drop_prob, 0.2, 0.5) if p]
    dropouts: list[nn.Module | None] = [nn.Dropout(p) for p in sites]
    net = mlp([40, 24, 16, 10], [None] * (3 - len(sites)) + dropouts, before_relu=before).double()
    network = TorchMLP(net, layers, generator(), sgd, label_smoothing=0.1)
    xi, placement = masks_of(net), PLACES[before]
    page = scratch.MLP(copies(layers), [], generator(), sgd, placement=placement, label_smoothing=0.1)
    for _ in range(3):
        xi.clear()
        O = network.step(X, y, 0.3)
        assert len(xi) == len(sites) and all((x == 0).any() for x in xi)
        page.noises = [*[None] * (3 - len(sites)), *(Injected(x) for x in xi)]
        torch.testing.assert_close(page.step(X, y, 0.3), O, rtol=1e-12, atol=1e-12)
    trained = [(one.weight.detach().T, one.bias.detach()) for one in net if isinstance(one, nn.Linear)]
    assert worst_error(page.layers, trained) < 1e-12


def test_noise_that_is_added_to_the_images_is_the_same_in_all_three_networks() -> None:
    """In one call of their generators the three draw the same numbers, which are then added alike."""
    layers, X, y, _ = problem([40, 24, 10], 64)
    net = mlp([40, 24, 10], input_noise_std=0.3)
    assert isinstance(net[0], InputNoise)
    outputs = [
        TorchMLP(net, layers, generator(), SGD()).step(X, y, 0.1),
        *(kind(copies(layers), [], generator(), SGD(), input_noise_std=0.3).step(X, y, 0.1) for kind in NETWORKS),
    ]
    for O in outputs[1:]:
        torch.testing.assert_close(O, outputs[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(outputs[0], scratch.MLP(layers, [], generator(), SGD()).logits(X), atol=0.01)


# Before the ReLU and after it


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_mask_is_the_same_before_the_relu_and_after_it_and_noise_below_0_is_not(
    kind: type[scratch.MLP], noise: Noise
) -> None:
    layers, X, y, _ = problem([40, 24, 16, 10], 64)
    after, before = (
        kind(copies(layers), [noise] * 3, generator(), SGD(momentum=0.9), placement=placement)
        for placement in PLACES[:2]
    )
    same = torch.equal(after.step(X, y, 0.1), before.step(X, y, 0.1))
    pairs = zip(after.state().values(), before.state().values(), strict=True)
    assert {same, *(torch.equal(a, b) for a, b in pairs)} == {not isinstance(noise, Gaussian)}


# The tuned step's random bits


def decided(noise: Noise | None, like: Tensor, source: torch.Generator) -> Tensor | None:
    """The next ξ that the tuned step will draw in the shape of `like`: what it makes of activations of 1."""
    if noise is None:
        return None
    mask, xi = draws(noise, like, changes=False), torch.empty_like(like)
    assert isinstance(mask, BitMask)
    mask.drop(torch.ones_like(like), xi, source)
    return xi


BITS: list[Noise] = [
    Inverted(0.2),
    Unscaled(0.2),
    Unscaled(0.5),
    Classic(0.5),
    Randn2019(0.2),
    Randn2019(1.0),
    *(kind(0.5, shared=True) for kind in (Inverted, Unscaled, Classic)),
]


@pytest.mark.parametrize("on_images", [False, True])
@pytest.mark.parametrize("placement", PLACES)
@pytest.mark.parametrize("noise", BITS, ids=str)
def test_a_step_with_random_bits_is_the_pages_with_the_xi_that_they_decided(
    noise: Noise, placement: Placement, on_images: bool
) -> None:
    assert isinstance(noise, Mask)
    layers, X, y, _ = problem(SIZES, 64)
    noises = [noise if on_images else None, noise, noise]
    source = generator(3)
    xi = [
        decided(one, torch.empty(W.T.shape if placement == "weights" else (64, len(W))), source)
        for one, (W, _) in zip(noises, layers, strict=True)
    ]
    the_same: list[Noise | None] = [None if x is None else Injected(x.T if placement == "weights" else x) for x in xi]
    page = scratch.MLP(copies(layers), the_same, generator(), SGD(momentum=0.9), placement=placement)
    net = fused.FusedMLP(layers, noises, generator(3), SGD(momentum=0.9), placement=placement)
    assert torch.allclose(page.step(X, y, 0.0), net.step(X, y, 0.0), rtol=1e-5, atol=1e-5)
    gradients = [(W.double(), b.double()) for W, b in page.velocities]
    for found, expected in zip(net.velocities, gradients, strict=True):
        for f, e in zip(found, expected, strict=True):
            assert (f - e).abs().max() <= 3e-6 * e.abs().max()  # two roundings


@pytest.mark.parametrize("placement", PLACES)
@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("noise_at_eval", [False, True])
def test_both_networks_evaluate_alike(noise: Noise, placement: Placement, noise_at_eval: bool) -> None:
    """Noise included, where it is left on: it is then drawn as on the page."""
    layers, X, _, _ = problem(SIZES, 64)
    layers = [(W.T.contiguous().T, b) for W, b in layers]  # as they lie in the tuned network: normal_ fills by memory
    page, net = (
        kind(copies(layers), [noise] * 3, generator(), SGD(), placement=placement, noise_at_eval=noise_at_eval)
        for kind in NETWORKS
    )
    torch.testing.assert_close(net.logits(X), page.logits(X), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net.logits(X, generator(7)), page.logits(X, generator(7)), rtol=1e-5, atol=1e-5)

"""scratch, fused and torch.nn agree for every noise and placement, with a torch.nn model and autograd as reference."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from helpers.autograd import FixedNoise, copies, generator, problem, velocities, worst_error
from torch import Tensor, nn
from torch.nn import functional as F

from dropexp.nets import from_scratch, fused
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.from_scratch import Placement
from dropexp.nets.fused_noise import BitMask, sampler
from dropexp.nets.noise import Classic, Gaussian, Inverted, Mask, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.stacked import Stack
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
PLACEMENTS: list[Placement] = ["after", "before", "weights"]
NETWORKS = [from_scratch.MLP, fused.FusedMLP]


class Reference(nn.Module):
    """The network in torch.nn, in float64, with a given ξ[i] on the input of layer i: images, then hidden layers."""

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
        """Return the parameters in the layout of `from_scratch.py`."""
        return [(one.weight.detach().T, one.bias.detach()) for one in self.linears if isinstance(one, nn.Linear)]

    def grads(self) -> list[Layer]:
        """Return the gradients in the layout of `from_scratch.py`."""
        weights = [one.weight.grad for one in self.linears if isinstance(one, nn.Linear)]
        biases = [one.bias.grad for one in self.linears if isinstance(one, nn.Linear)]
        return [(W.T, b) for W, b in zip(weights, biases, strict=True) if W is not None and b is not None]


def samples(noise: Noise, layers: list[Layer], n: int, placement: Placement) -> list[Tensor]:
    """Return a sample of ξ for each layer, in full shape."""
    source = generator(5)
    shapes = [W.shape if placement == "weights" else (n, len(W)) for W, _ in layers]
    return [noise.draw(torch.empty(shape), source).expand(shape) for shape in shapes]


def fixed(xi: list[Tensor], kind: type[from_scratch.MLP], placement: Placement) -> list[Noise | None]:
    """Return noises with these samples. The fused network samples noise for its transposed weights."""
    return [FixedNoise(x.T if placement == "weights" and kind is fused.FusedMLP else x) for x in xi]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_scratch_has_the_references_outputs_and_gradients_in_float64(noise: Noise, placement: Placement) -> None:
    layers, X, y, _ = problem(SIZES, 64, dtype=torch.float64)
    xi = samples(noise, layers, 64, placement)
    model = Reference(layers, xi, placement)
    outputs = model(X)
    nn.CrossEntropyLoss()(outputs, y).backward()
    net = from_scratch.MLP(
        copies(layers), fixed(xi, from_scratch.MLP, placement), generator(), SGD(), placement=placement
    )
    result = net.forward(X, generator())
    assert (result.O - outputs).abs().max() <= 1e-12 * outputs.abs().max()
    assert worst_error(net.backward(y, result), model.grads()) < 1e-12


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_scratch_and_fused_have_the_references_outputs_and_gradients_in_float32(
    kind: type[from_scratch.MLP], noise: Noise, placement: Placement
) -> None:
    layers, X, y, _ = problem(SIZES, 64)
    xi = samples(noise, layers, 64, placement)
    model = Reference(layers, xi, placement)
    outputs = model(X)
    nn.CrossEntropyLoss()(outputs, y).backward()
    net = kind(copies(layers), fixed(xi, kind, placement), generator(), SGD(momentum=0.9), placement=placement)
    O = net.step(X, y, 0.0)
    assert (O - outputs).abs().max() <= 1e-6 * outputs.abs().max()
    assert worst_error(velocities(net), model.grads()) <= 1e-6  # the first velocity is the gradient


REGULARISERS: list[tuple[Optimizer, float]] = [
    (SGD(), 0.1),
    (SGD(weight_decay=0.01), 0.0),
    (SGD(l1=0.001), 0.0),
    (SGD(momentum=0.9), 0.0),
    (SGD(momentum=0.9, nesterov=True), 0.0),
    (SGD(max_norm=1.2), 0.0),
    (SGD(0.9, 0.01, 4, nesterov=True, l1=0.001, max_norm=1.2), 0.1),
    (Adam(), 0.0),
    (Adam(weight_decay=0.01), 0.0),
    (Adam(weight_decay=0.01, decoupled=True), 0.0),
    (Adam(0.01, decoupled=True, l1=0.001, max_norm=1.2), 0.1),
]


def by_torch(optimizer: Optimizer, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return torch's optimiser of the model, with weight decay on the weights only."""
    weights, biases = ([p for name, p in model.named_parameters() if name.endswith(end)] for end in ("weight", "bias"))
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": optimizer.weight_decay},
        {"params": biases, "weight_decay": 0},
    ]
    if isinstance(optimizer, Adam):
        return (torch.optim.AdamW if optimizer.decoupled else torch.optim.Adam)(groups, lr=lr)
    options: dict[str, Any] = {"momentum": optimizer.momentum, "nesterov": optimizer.nesterov}
    return torch.optim.SGD(groups, lr=lr / optimizer.divisor, **options)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(("optimizer", "label_smoothing"), REGULARISERS, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_three_steps_equal_those_of_torchs_optimisers_and_cross_entropy(
    kind: type[from_scratch.MLP], optimizer: Optimizer, label_smoothing: float, placement: Placement
) -> None:
    exact, lr = kind is from_scratch.MLP, 0.01 if isinstance(optimizer, Adam) else 0.3
    layers, X, y, _ = problem([40, 24, 16, 10], 64, dtype=torch.float64 if exact else torch.float32)
    xi = samples(Inverted(0.5), layers, 64, placement)
    net = kind(
        copies(layers),
        fixed(xi, kind, placement),
        generator(),
        optimizer,
        placement=placement,
        label_smoothing=label_smoothing,
    )
    model, loss = Reference(layers, xi, placement), nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    weights = [linear.weight for linear in model.linears if isinstance(linear, nn.Linear)]
    reference = by_torch(optimizer, model, lr)
    for _ in range(3):  # momentum matters from the second step on
        reference.zero_grad()
        (loss(model(X), y) + optimizer.l1 * torch.stack([W.abs().sum() for W in weights]).sum()).backward()
        reference.step()
        if optimizer.max_norm:
            with torch.no_grad():
                for W in weights[:-1]:
                    W.copy_(torch.renorm(W, 2, 0, optimizer.max_norm))
        net.step(X, y, lr)
    tolerance = (1e-6 if optimizer.max_norm else 1e-12) if exact else 1e-5  # torch.renorm divides by norm + 1e-7
    assert worst_error(net.layers, model.layers()) < tolerance
    assert worst_error(net.layers, layers) > 1e-3  # the parameters have changed


OPTIMIZERS: list[Optimizer] = [
    SGD(),
    SGD(momentum=0.9, weight_decay=0.01),
    *(Adam(weight_decay, decoupled) for weight_decay in (0.0, 0.1) for decoupled in (False, True)),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_all_four_implementations_take_the_same_steps(optimizer: Optimizer) -> None:
    sizes, lr, n = [20, 7, 6, 10], 0.01, 32
    layers, X, y, _ = problem(sizes, 5 * n, dtype=torch.float64)
    alone = [kind(copies(layers), [], generator(), optimizer) for kind in NETWORKS]
    concise = TorchMLP(mlp(sizes).double(), layers, generator(), optimizer)
    stack = Stack([from_scratch.MLP(copies(layers), [], generator(), optimizer)] * 2, X, y, 5 * n, n)
    outputs = [
        stack.train_epoch(torch.arange(5 * n).expand(2, -1), [lr] * 2)[1],
        *(torch.cat([net.step(X[k : k + n], y[k : k + n], lr).clone() for k in range(0, 5 * n, n)]) for net in alone),
        torch.cat([concise.step(X[k : k + n], y[k : k + n], lr) for k in range(0, 5 * n, n)]),
    ]
    stack.write_back()
    for O in outputs[1:]:
        torch.testing.assert_close(O, outputs[0], rtol=1e-12, atol=1e-12)
    expected = alone[0].state()
    for net in (alone[1], stack.networks[0]):
        for name, tensor in net.state().items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-12)
    for i, W in enumerate(concise.weights(), start=1):
        torch.testing.assert_close(W, expected[f"W{i}"], rtol=1e-12, atol=1e-12)


# nn.Dropout


def masks_of(net: nn.Sequential) -> list[Tensor]:
    """Return a list to which each nn.Dropout of the network appends its ξ whenever it is called.

    Where the input is 0, ξ cannot be seen and does not matter; it counts as dropped.
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
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(momentum=0.9),
        SGD(0.9, 0.01, nesterov=True, l1=0.001, max_norm=1.2),
        Adam(0.01, l1=0.001),
        Adam(0.01, decoupled=True, max_norm=1.2),
    ],
    ids=str,
)
def test_scratch_steps_like_nn_dropout_with_the_same_masks(
    optimizer: Optimizer, input_drop_prob: float, before: bool
) -> None:
    lr = 0.01 if isinstance(optimizer, Adam) else 0.3
    layers, X, y, _ = problem([40, 24, 16, 10], 64, dtype=torch.float64)
    drop_probs = [p for p in (input_drop_prob, 0.2, 0.5) if p]
    dropouts: list[nn.Module | None] = [nn.Dropout(p) for p in drop_probs]
    net = mlp([40, 24, 16, 10], [None] * (3 - len(drop_probs)) + dropouts, before_relu=before).double()
    network = TorchMLP(net, layers, generator(), optimizer, label_smoothing=0.1)
    xi, placement = masks_of(net), PLACEMENTS[before]
    scratch_net = from_scratch.MLP(copies(layers), [], generator(), optimizer, placement=placement, label_smoothing=0.1)
    for _ in range(3):
        xi.clear()
        O = network.step(X, y, lr)
        assert len(xi) == len(drop_probs) and all((x == 0).any() for x in xi)
        scratch_net.noises = [*[None] * (3 - len(drop_probs)), *(FixedNoise(x) for x in xi)]
        torch.testing.assert_close(scratch_net.step(X, y, lr), O, rtol=1e-12, atol=1e-12)
    trained = [(one.weight.detach().T, one.bias.detach()) for one in net if isinstance(one, nn.Linear)]
    assert worst_error(scratch_net.layers, trained) < 1e-12


def test_noise_on_the_images_is_equal_in_all_three_networks() -> None:
    """With generators in the same state, the three sample the same numbers."""
    layers, X, y, _ = problem([40, 24, 10], 64)
    net = mlp([40, 24, 10], input_noise_std=0.3)
    assert isinstance(net[0], InputNoise)
    outputs = [
        TorchMLP(net, layers, generator(), SGD()).step(X, y, 0.1),
        *(kind(copies(layers), [], generator(), SGD(), input_noise_std=0.3).step(X, y, 0.1) for kind in NETWORKS),
    ]
    for O in outputs[1:]:
        torch.testing.assert_close(O, outputs[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(outputs[0], from_scratch.MLP(layers, [], generator(), SGD()).logits(X), atol=0.01)


# Before the ReLU and after it


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_mask_before_the_relu_equals_one_after_it_but_noise_below_0_does_not(
    kind: type[from_scratch.MLP], noise: Noise
) -> None:
    layers, X, y, _ = problem([40, 24, 16, 10], 64)
    after, before = (
        kind(copies(layers), [noise] * 3, generator(), SGD(momentum=0.9), placement=placement)
        for placement in PLACEMENTS[:2]
    )
    same = torch.equal(after.step(X, y, 0.1), before.step(X, y, 0.1))
    pairs = zip(after.state().values(), before.state().values(), strict=True)
    assert {same, *(torch.equal(a, b) for a, b in pairs)} == {not isinstance(noise, Gaussian)}


# Random bits of the fused step


def from_bits(noise: Noise | None, like: Tensor, source: torch.Generator) -> Tensor | None:
    """Return the next ξ that the fused step will sample in the shape of `like`: its result for activations of 1."""
    if noise is None:
        return None
    mask, xi = sampler(noise, like, drop_prob_varies=False), torch.empty_like(like)
    assert isinstance(mask, BitMask)
    mask.sample(torch.ones_like(like), xi, source)
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
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("noise", BITS, ids=str)
def test_a_fused_step_equals_the_reference_step_with_the_xi_of_its_random_bits(
    noise: Noise, placement: Placement, on_images: bool
) -> None:
    assert isinstance(noise, Mask)
    layers, X, y, _ = problem(SIZES, 64)
    noises = [noise if on_images else None, noise, noise]
    source = generator(3)
    xi = [
        from_bits(one, torch.empty(W.T.shape if placement == "weights" else (64, len(W))), source)
        for one, (W, _) in zip(noises, layers, strict=True)
    ]
    same_xi: list[Noise | None] = [None if x is None else FixedNoise(x.T if placement == "weights" else x) for x in xi]
    expected_net = from_scratch.MLP(copies(layers), same_xi, generator(), SGD(momentum=0.9), placement=placement)
    net = fused.FusedMLP(layers, noises, generator(3), SGD(momentum=0.9), placement=placement)
    assert torch.allclose(expected_net.step(X, y, 0.0), net.step(X, y, 0.0), rtol=1e-5, atol=1e-5)
    gradients = [(W.double(), b.double()) for W, b in velocities(expected_net)]
    for found, expected in zip(velocities(net), gradients, strict=True):
        for f, e in zip(found, expected, strict=True):
            assert (f - e).abs().max() <= 3e-6 * e.abs().max()  # two roundings


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("noise_at_eval", [False, True])
def test_scratch_and_fused_evaluate_equally(noise: Noise, placement: Placement, noise_at_eval: bool) -> None:
    """Where noise is active in evaluation, both sample it in the same way."""
    layers, X, _, _ = problem(SIZES, 64)
    layers = [(W.T.contiguous().T, b) for W, b in layers]  # as in the fused network: normal_ fills in order of memory
    reference, net = (
        kind(copies(layers), [noise] * 3, generator(), SGD(), placement=placement, noise_at_eval=noise_at_eval)
        for kind in NETWORKS
    )
    torch.testing.assert_close(net.logits(X), reference.logits(X), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net.logits(X, generator(7)), reference.logits(X, generator(7)), rtol=1e-5, atol=1e-5)

"""DropConnect with masks for each example: outputs, gradients, moments, and evaluation mode."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import pytest
import torch
from helpers.autograd import copies, expanded, generator, grad_of, problem, worst_error
from torch import Tensor
from torch.nn import functional as F

from dropexp.nets import from_scratch, matmul, schedules
from dropexp.nets.dropconnect import DropConnectMLP, MaskedPass
from dropexp.nets.noise import Inverted, Noise
from dropexp.nets.sgd import SGD, Layer

pytestmark = pytest.mark.usefixtures("one_thread")

HIDDEN: list[Noise | None] = [None, Inverted(0.2), Inverted(0.5)]
ALL: list[Noise | None] = [Inverted(0.1), Inverted(0.2), Inverted(0.5)]


def reference(
    layers: list[Layer], X: Tensor, y: Tensor, result: MaskedPass, output_relu: bool
) -> tuple[Tensor, list[Layer]]:
    """Return outputs and gradients by autograd in float64, under the masks of a forward pass."""
    leaves = [(W.double().clone().requires_grad_(), b.double().clone().requires_grad_()) for W, b in layers]
    Z = X.double()
    for i, ((W, b), (V, _), masks) in enumerate(zip(leaves, layers, result.masks, strict=True)):
        H = F.relu(Z) if i > 0 else Z
        if masks is None:
            Z = H @ W + b
        else:
            xi, xi_b = expanded(masks[0], V).double(), masks[1].double()
            Z = torch.einsum("ki,kio,io->ko", H, xi, W) + xi_b * b
    O = F.relu(Z) if output_relu else Z
    F.cross_entropy(O, y).backward()
    return O.detach(), [(grad_of(W), grad_of(b)) for W, b in leaves]


@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize("noises", [HIDDEN, ALL])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_outputs_and_gradients_equal_autograd_under_the_same_masks(
    dtype: torch.dtype, tolerance: float, noises: list[Noise | None], output_relu: bool
) -> None:
    layers, X, y, _ = problem([30, 24, 16, 10], 70, dtype=dtype)
    net = DropConnectMLP(copies(layers), noises, generator(), SGD(), placement="weights", output_relu=output_relu)
    result = net.forward(X, net.generator)
    assert isinstance(result, MaskedPass)
    O, grads = reference(layers, X, y, result, output_relu)
    assert (result.O - O).abs().max() <= tolerance * O.abs().max()
    assert worst_error(net.backward(y, result), grads) <= tolerance


def test_a_step_is_taken_with_the_gradients_of_its_masks() -> None:
    layers, X, y, _ = problem([30, 24, 16, 10], 70, dtype=torch.float64)
    sgd = SGD(momentum=0.9, weight_decay=0.01, max_norm=1.0)
    net = DropConnectMLP(copies(layers), HIDDEN, generator(3), sgd, placement="weights")
    result = net.forward(X, generator(3))
    assert torch.equal(net.step(X, y, 0.1), result.O)
    assert isinstance(result, MaskedPass)
    _, grads = reference(layers, X, y, result, False)
    expected = from_scratch.MLP(copies(layers), [], generator(), sgd)
    for i, grad in enumerate(grads):
        expected.update(i, grad, 0.1)
    assert worst_error(net.layers, expected.layers) < 1e-12


@pytest.mark.parametrize(("sizes", "n"), [([784, 256, 64, 10], 256), ([784, 256, 20, 10], 2500)])
def test_steps_have_the_same_bits_on_one_thread_and_on_two(sizes: list[int], n: int) -> None:
    layers, X, y, _ = problem(sizes, n)
    noises = ALL if n == 256 else HIDDEN
    ends = []
    with matmul.using(matmul.best_backend()):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            net = DropConnectMLP(copies(layers), noises, generator(), SGD(momentum=0.9), placement="weights")
            for _ in range(2):
                net.step(X, y, 0.1)
            ends.append(net.state())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_evaluation_mode_is_the_network_without_noise() -> None:
    layers, X, y, _ = problem([30, 24, 16, 10], 70)
    net, plain = (
        kind(copies(layers), noises, generator(), SGD(), placement="weights")
        for kind, noises in ((DropConnectMLP, ALL), (from_scratch.MLP, []))
    )
    assert torch.equal(net.logits(X), plain.logits(X))
    grads = [network.backward(y, network.forward(X, None)) for network in (net, plain)]
    assert all(torch.equal(one, other) for pair in zip(*grads, strict=True) for one, other in zip(*pair, strict=True))


def test_p_1_drops_every_weight_and_bias() -> None:
    layers, X, _, _ = problem([30, 24, 10], 70)
    net = DropConnectMLP(layers, [None, Inverted(1.0)], generator(), SGD(), placement="weights")
    assert (net.logits(X, generator()) == 0).all()
    assert all((O == 0).all() for O in net.moment_matching(X, 3, generator()))


def test_a_schedule_at_p_0_draws_no_mask() -> None:
    layers, X, y, _ = problem([30, 24, 16, 10], 70)
    late = schedules.late(0.5)
    net = DropConnectMLP(copies(layers), HIDDEN, generator(), SGD(), placement="weights", schedule=late)
    plain, before = from_scratch.MLP(copies(layers), [], generator(), SGD()), net.generator.get_state()
    assert torch.equal(net.step(X, y, 0.1, progress=0.4), plain.step(X, y, 0.1))
    assert torch.equal(net.generator.get_state(), before)
    net.step(X, y, 0.1, progress=0.6)
    assert not torch.equal(net.generator.get_state(), before)


def test_pre_activations_have_the_mean_and_variance_of_the_paper() -> None:
    """The same example 20,000 times, with a mask each: E[z] = h·W + b, Var[z] = p/keep·(h²·W² + b²)."""
    n, p = 20_000, 0.3
    ((W, b),), X, _, _ = problem([12, 5], 1, dtype=torch.float64)
    b = b + 0.5
    net = DropConnectMLP([(W, b)], [Inverted(p)], generator(), SGD(), placement="weights")
    Z = net.logits(X.expand(n, -1), generator())
    mean, variance = X @ W + b, p / (1 - p) * (X**2 @ W**2 + b**2)
    assert ((Z.mean(dim=0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    assert ((Z.var(dim=0) / variance - 1).abs() < 5 * math.sqrt(2 / n)).all()


def test_moment_matching_samples_the_outputs_from_their_normal_distribution() -> None:
    K, p = 4000, 0.5
    layers, X, _, _ = problem([12, 8, 5], 3, dtype=torch.float64)
    net = DropConnectMLP(layers, [None, Inverted(p)], generator(), SGD(), placement="weights")
    O = torch.stack(list(net.moment_matching(X, K, generator())))
    (H,), (W, b) = net.hidden(X), layers[1]
    variance = p / (1 - p) * (H**2 @ W**2 + b**2)
    assert ((O.mean(dim=0) - net.logits(X)).abs() < 5 * (variance / K).sqrt()).all()
    assert ((O.var(dim=0) / variance - 1).abs() < 5 * math.sqrt(2 / K)).all()


def test_moment_matching_passes_on_the_mean_of_the_activations() -> None:
    """For z ~ N(μ, σ²) it is E[relu(z)] = μ·Φ(μ/σ) + σ·φ(μ/σ)."""
    K, p, normal = 20_000, 0.5, NormalDist()
    layers, X, _, _ = problem([12, 8, 5], 3, dtype=torch.float64)
    net = DropConnectMLP(layers, [Inverted(p), None], generator(), SGD(), placement="weights")
    (O,) = net.moment_matching(X, K, generator())
    (W, b), (W_2, b_2) = layers
    mean, std = X @ W + b, (p / (1 - p) * (X**2 @ W**2 + b**2)).sqrt()
    H = mean.clone()
    for k, j in itertools.product(range(3), range(8)):
        mu, sigma = mean[k, j].item(), std[k, j].item()
        H[k, j] = mu * normal.cdf(mu / sigma) + sigma * normal.pdf(mu / sigma)
    bound = 5 * std / math.sqrt(K) @ W_2.abs()
    assert ((O - (H @ W_2 + b_2)).abs() < bound).all()

"""The fused step computes what the reference implementation computes, and its random bits make fair masks."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.autograd import copies, fixed_noises, generator, problem, reference, velocities, worst_error
from torch import Tensor

from dropexp.nets import from_scratch, fused, matmul
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.from_scratch import Placement
from dropexp.nets.fused_noise import BitMask
from dropexp.nets.noise import Classic, Inverted, Noise, Randn2019, Unscaled
from dropexp.nets.schedules import curriculum
from dropexp.nets.sgd import SGD

BACKENDS = list(dict.fromkeys([matmul.PLAIN, matmul.best_backend()]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [256, 96])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(
    ("sizes", "tolerance"),
    [
        ([784, 256, 256, 10], 1e-6),
        ([784, 2048, 2048, 10], 3e-6),
        ([20, 7, 10], 1e-6),
        ([784, 64, 32, 16, 48, 10], 1e-6),
    ],
)
def test_loss_and_gradients_equal_autograd_within_float32_rounding(
    sizes: list[int], tolerance: float, noisy: bool, n: int, backend: str
) -> None:
    layers, X, y, xi = problem(sizes, n)
    xi = xi if noisy else []
    expected = reference(layers, X, y, xi)
    with matmul.using(backend):
        for kind in (from_scratch.MLP, fused.FusedMLP):
            net = kind(
                copies(layers),
                fixed_noises(xi),
                generator(),
                SGD(momentum=0.9),
            )
            O = net.step(X, y, 0.0)
            loss = torch.nn.functional.cross_entropy(O.double(), y)
            assert abs(loss - expected.loss) < 1e-6 * expected.loss
            assert worst_error(velocities(net), expected.grads) <= tolerance  # the first velocity is the gradient


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "sgd",
    [SGD(), SGD(divisor=256), SGD(weight_decay=0.1), SGD(momentum=0.9), SGD(momentum=0.9, weight_decay=0.1)],
)
@pytest.mark.parametrize("kind", [from_scratch.MLP, fused.FusedMLP])
def test_updates_follow_the_gradients_of_autograd(kind: type[from_scratch.MLP], sgd: SGD, backend: str) -> None:
    layers, X, y, xi = problem([784, 256, 256, 10], 256)
    grads = reference(layers, X, y, xi).grads
    net = kind(copies(layers), fixed_noises(xi), generator(), sgd)
    lr = 10.0  # so large that rounding is measured in the step, not in the weights
    with matmul.using(backend):
        net.step(X, y, 0.0)  # changes the velocity only
        net.step(X, y, lr * sgd.divisor)
    for (W, b), (V, c), (dW, db) in zip(net.layers, layers, grads, strict=True):
        gW, gb = dW + sgd.weight_decay * V.double(), db
        for after, before, g in ((W, V, gW), (b, c, gb)):
            step = lr * (1 + sgd.momentum) * g
            assert ((before.double() - step) - after.double()).abs().max() <= 1e-6 * step.abs().max()


@pytest.mark.parametrize("kind", [from_scratch.MLP, fused.FusedMLP])
def test_a_relu_on_the_outputs_stops_the_gradient_where_it_is_zero(kind: type[from_scratch.MLP]) -> None:
    layers, X, y, xi = problem([784, 64, 10], 256)
    expected = reference(layers, X, y, xi, output_relu=True)
    net = kind(layers, fixed_noises(xi), generator(), SGD(momentum=0.9), output_relu=True)
    net.step(X, y, 0.0)
    assert worst_error(velocities(net), expected.grads) <= 1e-6


def test_gradients_in_bfloat16_approximate_those_in_float32() -> None:
    layers, X, y, xi = problem([784, 256, 256, 10], 256)
    net = fused.FusedMLP(layers, fixed_noises(xi), generator(), SGD(momentum=0.9), mm=matmul.bf16_mm)
    net.step(X, y, 0.0)
    assert 1e-3 < worst_error(velocities(net), reference(layers, X, y, xi).grads) < 0.1
    assert all(W.dtype == b.dtype == torch.float32 for W, b in net.layers)


def test_logits_equal_those_of_the_reference_implementation() -> None:
    layers, X, _, _ = problem([784, 256, 256, 10], 100)
    a, b = (kind(layers, [], generator(), SGD()).logits(X) for kind in (from_scratch.MLP, fused.FusedMLP))
    assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("placement", ["after", "before", "weights"])
@pytest.mark.parametrize(
    ("noise", "optimizer"),
    [
        *((Inverted(0.2), one) for one in (SGD(0.9, 0.01), Adam(0.01), Adam(0.01, decoupled=True))),
        *((Inverted(0.5, shared=shared), SGD(momentum=0.9)) for shared in (False, True)),
        *((one, SGD(momentum=0.9)) for one in (Unscaled(0.5), Classic(0.5), Randn2019(0.5))),
    ],
    ids=str,
)
def test_a_step_allocates_no_tensors_once_its_buffers_exist(
    noise: Noise, optimizer: Optimizer, placement: Placement
) -> None:
    layers, X, y, _ = problem([784, 256, 256, 10], 256)
    net = fused.FusedMLP(
        layers,
        [noise] * 3,
        generator(),
        optimizer,
        placement=placement,
        input_noise_std=0.1,
        schedule=curriculum,
    )
    net.step(X, y, 0.1)
    with torch.profiler.profile(profile_memory=True) as profile:
        net.step(X, y, 0.1)
    allocated = sum(max(0, event.self_cpu_memory_usage) for event in profile.events() or [])
    assert allocated < 64 * 1024  # workspaces of kernels; one hidden activation alone is 256 KiB


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9), Adam()], ids=str)
def test_moments_are_stored_in_the_layout_of_their_weights(optimizer: Optimizer) -> None:
    """Otherwise an update takes four times as long."""
    layers, *_ = problem([20, 7, 10], 1)
    net = fused.FusedMLP(layers, [], generator(), optimizer)
    for (W, _), moments in zip(net.layers, net.moments, strict=True):
        assert W.stride() == (1, len(W))
        assert {moment.stride() for name, moment in moments.items() if name.endswith("W")} == {W.stride()}


def sampled(mask: BitMask, generator: torch.Generator) -> Tensor:
    """Return the next ξ of the mask: its result for activations of 1."""
    ones = torch.ones(mask.integers.shape)
    xi = torch.empty_like(ones)
    mask.sample(ones, xi, generator)
    return xi


@pytest.mark.parametrize("p", [0.0, 0.1, 0.2, 0.25, 0.5, 0.6, 0.999, 1.0])
def test_each_part_of_a_random_word_drops_at_the_same_rate(p: float) -> None:
    xi = sampled(BitMask(Inverted(p), torch.empty(4096, 256), False), generator())
    words = xi.view(-1, 8)  # eight integers of 8 bits, or twice four of 16
    dropped = (words == 0).double().mean(dim=0)
    sd = math.sqrt(p * (1 - p) / len(words))
    assert (dropped - p).abs().max() <= 5 * sd + 1 / 131072
    if p < 1:
        assert set(xi.unique().tolist()) <= {0.0, torch.tensor(1 / (1 - p)).item()}
        assert abs(xi.double().mean() - 1) < 5 * math.sqrt(p / (1 - p) / xi.numel()) + 1e-4


@pytest.mark.parametrize("bit", range(64))
def test_every_random_bit_is_fair(bit: int) -> None:
    mask = BitMask(Inverted(0.5), torch.empty(4096, 64), False)
    sampled(mask, generator(1))
    ones = ((mask.bits >> bit) & 1).double().mean()
    assert abs(ones - 0.5) < 5 * 0.5 / math.sqrt(len(mask.bits))


def test_masks_of_neighbouring_units_rows_and_steps_are_independent() -> None:
    mask, source = BitMask(Inverted(0.5), torch.empty(512, 256), False), generator()
    first, second = sampled(mask, source), sampled(mask, source)
    n = first.numel()
    for a, b in ((first, second), (first[:, 1:], first[:, :-1]), (first[1:], first[:-1])):
        covariance = ((a - 1) * (b - 1)).double().mean()  # each factor has variance 1 at p = 0.5
        assert abs(covariance) < 5 / math.sqrt(n)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_a_step_with_random_bits_equals_the_reference_step_with_the_same_xi(p: float) -> None:
    """The gradients are equal too, although the fused step does not store ξ."""
    layers, X, y, _ = problem([784, 256, 256, 10], 256)
    source = generator(3)
    xi = [sampled(BitMask(Inverted(p), torch.empty(256, 256), False), source) for _ in range(2)]
    expected_net = from_scratch.MLP(copies(layers), fixed_noises(xi), generator(), SGD(0.9))
    net = fused.FusedMLP(layers, [None, *[Inverted(p)] * 2], generator(3), SGD(0.9))
    assert torch.allclose(expected_net.step(X, y, 0.0), net.step(X, y, 0.0), rtol=1e-5, atol=1e-5)
    gradients = [(W.double(), b.double()) for W, b in velocities(expected_net)]
    for found, expected in zip(velocities(net), gradients, strict=True):
        for f, e in zip(found, expected, strict=True):
            assert (f - e).abs().max() <= 3e-6 * e.abs().max()  # two roundings


def test_a_smaller_batch_samples_noise_for_its_own_rows_only() -> None:
    """The noise of a step then depends on the number of rows before it, but not on which batch size came first."""
    layers, X, y, _ = problem([784, 32, 10], 256)
    expected = generator()
    for n in (256, 96, 256):
        torch.empty(n * 32 // 4, dtype=torch.int64).random_(-(2**63), None, generator=expected)
    for sizes in ([256, 96, 256], [96, 256, 256]):
        net = fused.FusedMLP(layers, [None, Inverted(0.2)], generator(), SGD())
        for n in sizes:
            net.step(X[:n], y[:n], 0.0)
        assert torch.equal(net.generator.get_state(), expected.get_state())

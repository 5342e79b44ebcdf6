"""A stack of runs: each trains like the reference implementation under the same noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from helpers.autograd import FixedNoise, copies, fixed_noises, generator, generators, problem, reference, worst_error
from torch import Tensor

from dropexp.nets import from_scratch
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.sgd import SGD
from dropexp.nets.stacked import BLOCK, Stack

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = [20, 7, 6, 10]


@dataclass
class NoiseSequence(FixedNoise):
    """A noise that returns given samples one after the other."""

    samples: Iterator[Tensor] = field(default_factory=lambda: iter(()))

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        self.xi = next(self.samples)
        return super().draw(like, generator)


NOISES: list[Noise] = [
    *(kind(0.3, shared=shared) for kind in (Inverted, Unscaled, Classic) for shared in (False, True)),
    *(kind(0.3) for kind in (Randn2019, Gaussian, ThreePoint)),
]
LRS = [0.5, 0.1, 2.0]


def check_steps(noises: Sequence[Sequence[Noise | None]], optimizers: Sequence[Optimizer], **options: Any) -> None:
    """Compare outputs, parameters and moments of three runs to 1e-12 in float64: three steps, the last smaller.

    The reference networks train separately, with the noise that the stack sampled.
    """
    n, rest = 16, 5
    problems = [problem(SIZES, 2 * n + rest, seed=seed, dtype=torch.float64) for seed in range(3)]
    X, y = torch.cat([X for _, X, _, _ in problems]), torch.cat([y for _, _, y, _ in problems])
    rows = torch.arange(len(y)).view(3, -1).flip(1)
    both = [
        [
            from_scratch.MLP(copies(layers), own, g, optimizer, **options)
            for (layers, *_), own, g, optimizer in zip(problems, noises, generators(3), optimizers, strict=True)
        ]
        for _ in range(2)
    ]
    stacked = Stack(both[0], X, y, rows.shape[1], n)
    outputs = stacked.train_epoch(rows, LRS)
    stacked.write_back()
    for r, (ours, expected) in enumerate(zip(*both, strict=True)):
        epsilon = torch.zeros(3, n, SIZES[0]) if stacked.noise.epsilon is None else stacked.noise.epsilon[r]
        expected.noises = [None if xi is None else NoiseSequence(X, samples=iter(xi[r])) for xi in stacked.noise.xi]
        expected.input_noise_std = 0
        for k, batch in enumerate(rows[r].split(n)):
            O = expected.step(X[batch] + epsilon[k, : len(batch)], y[batch], LRS[r])
            assert (outputs[r, k * n : k * n + len(batch)] - O).abs().max() <= 1e-12
        for name, tensor in ours.state().items():
            assert (tensor - expected.state()[name]).abs().max() <= 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.9])  # 0.0: one matrix product computes gradient and update
@pytest.mark.parametrize("on", ["after", "before", "weights"])
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_a_stack_steps_like_the_reference_with_each_noise(noise: Noise, on: str, momentum: float) -> None:
    """The runs have noise on all inputs, on one hidden layer, and none."""
    noises: list[list[Noise | None]] = [[noise] * 3, [None, noise, None], []]
    check_steps(noises, [SGD(momentum=momentum)] * 3, placement=on, input_noise_std=0.1)


@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize(
    "optimizers",
    [
        [SGD(), SGD(divisor=16), SGD(max_norm=1.5)],
        [SGD(), SGD(divisor=16), SGD(weight_decay=0.1)],
        [SGD(l1=0.01), SGD(max_norm=1.5), SGD(weight_decay=0.1, l1=0.01, max_norm=1.0)],
        [SGD(momentum=0.9), SGD(momentum=0.9, weight_decay=0.1), SGD(momentum=0.9, divisor=16, max_norm=1.0)],
        [SGD(momentum=0.9, nesterov=True), SGD(momentum=0.9, nesterov=True, l1=0.01), SGD(momentum=0.9, nesterov=True)],
        [Adam(), Adam(weight_decay=0.1), Adam(l1=0.01, max_norm=1.0)],
        [Adam(one, decoupled=True, max_norm=norm) for one, norm in ((0.0, 1.0), (0.1, None), (0.2, 1.5))],
    ],
)
def test_each_run_of_a_stack_has_its_own_lr_and_penalties(optimizers: list[Optimizer], output_relu: bool) -> None:
    noises: list[list[Noise | None]] = [[None, Inverted(0.2), Inverted(0.5)], [], [Gaussian(0.1), None, None]]
    check_steps(noises, optimizers, output_relu=output_relu, label_smoothing=0.1)


def test_label_smoothing_and_input_noise_can_differ_between_runs() -> None:
    layers, X, y, _ = problem(SIZES, 12, dtype=torch.float64)
    options: list[dict[str, Any]] = [{}, {"label_smoothing": 0.2}, {"input_noise_std": 0.5}]
    networks = [from_scratch.MLP(copies(layers), [], generator(), SGD(), **own) for own in options]
    stacked = Stack(networks, X, y, 12, 12)
    outputs = stacked.train_epoch(torch.arange(12).expand(3, -1), [0.1] * 3)
    stacked.write_back()
    for smoothing, ours in zip((0.0, 0.2), networks[:2], strict=True):
        expected = from_scratch.MLP(copies(layers), [], generator(), SGD(), label_smoothing=smoothing)
        expected.step(X, y, 0.1)
        assert worst_error(ours.layers, expected.layers) <= 1e-12
    assert torch.equal(outputs[0], outputs[1]) and not torch.allclose(outputs[0], outputs[2])
    assert stacked.noise.epsilon is not None
    assert not stacked.noise.epsilon[:2].any()
    assert stacked.noise.epsilon[2].std().item() == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("placement", ["after", "before", "weights"])
def test_in_evaluation_mode_each_run_scales_by_the_constants_of_its_noises(placement: str) -> None:
    layers, X, y, _ = problem(SIZES, 9, dtype=torch.float64)
    noises: list[list[Noise | None]] = [[Classic(0.1), Classic(0.5), None], [], [None, Inverted(0.5), Classic(0.3)]]
    options: Any = {"placement": placement}
    networks = [from_scratch.MLP(copies(layers), own, generator(), SGD(), **options) for own in noises]
    stacked = Stack(networks, X, y, 9, 9)
    for r, network in enumerate(networks):
        assert (stacked.logits(X)[r] - network.logits(X)).abs().max() <= 1e-12
        assert (stacked.logits(X.expand(3, 9, -1))[r] - network.logits(X)).abs().max() <= 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("n", [256, 96])
def test_gradients_in_float32_equal_autograd_within_a_millionth(n: int, momentum: float) -> None:
    problems = [problem([784, 256, 256, 10], n, seed=seed) for seed in range(3)]
    X, y = torch.cat([X for _, X, _, _ in problems]), torch.cat([y for _, _, y, _ in problems])
    networks = [from_scratch.MLP(layers, fixed_noises(xi), generator(), SGD(momentum)) for layers, _, _, xi in problems]
    stacked = Stack(networks, X, y, n, 256)
    lr = 1024.0  # so large that the step can be recovered from the change of the parameters
    stacked.train_epoch(torch.arange(3 * n).view(3, n), [lr] * 3)
    for r, (layers, X_r, y_r, xi) in enumerate(problems):
        steps = [
            ((W.double() - V[r].double()) / lr, (b.double() - c[r, 0].double()) / lr)
            for (W, b), (V, c) in zip(layers, stacked.layers, strict=True)
        ]
        assert worst_error(steps, reference(layers, X_r, y_r, xi).grads) <= 1e-6


@pytest.mark.parametrize("num_rows", [3, 4, BLOCK * 4, BLOCK * 4 + 2, BLOCK * 4 * 2 + 4 * 3 + 2])
def test_an_epoch_of_any_length_returns_the_output_of_every_row(num_rows: int) -> None:
    n = 4
    layers, X, y, _ = problem(SIZES, num_rows)
    network = from_scratch.MLP(copies(layers), [], generator(), SGD())
    stacked = Stack([network, network], X, y, num_rows, n)
    rows = torch.stack([torch.randperm(num_rows, generator=g) for g in generators(2)])
    outputs = stacked.train_epoch(rows, [1e-9, 1e-9])
    assert torch.allclose(outputs, network.logits(X)[rows], atol=1e-5)

"""A stack of runs: each trains as the page does, draws as it would alone, and leaves the folder of a lone run."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import torch
from helpers.autograd import Injected, injected, problem, reference, worst_error
from torch import Tensor, nn

from dropexp.config.schema import Config
from dropexp.nets import cuda_graph, scratch, torch_nn
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.schedules import DropSchedule, curriculum, early, late, random_rate
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.stacked import BLOCK, Stack
from dropexp.training.build import reference_mlp
from dropexp.training.rng import stream
from dropexp.training.stack_shape import stack_shape

CPU = torch.device("cpu")
SIZES = [20, 7, 6, 10]
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph is captured on a CUDA device alone")


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def copied(layers: list[Layer]) -> list[Layer]:
    return [(W.clone(), b.clone()) for W, b in layers]


pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass
class Known(Injected):
    """A noise that hands out ξ known beforehand one after the other."""

    known: Iterator[Tensor] = field(default_factory=lambda: iter(()))

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        self.xi = next(self.known)
        return super().draw(like, generator)


NOISES: list[Noise] = [
    *(kind(0.3, shared=shared) for kind in (Inverted, Unscaled, Classic) for shared in (False, True)),
    *(kind(0.3) for kind in (Randn2019, Gaussian, ThreePoint)),
]
LRS = [0.5, 0.1, 2.0]


def agrees_with_the_page(noises: Sequence[Sequence[Noise | None]], sgds: Sequence[SGD], **options: Any) -> None:
    """Three steps of three runs, the last of fewer rows: outputs, parameters and velocities to 1e-12 in float64.

    The pages train alone under the very noise that the stack drew.
    """
    n, rest = 16, 5
    problems = [problem(SIZES, 2 * n + rest, seed=seed, dtype=torch.float64) for seed in range(3)]
    X, y = torch.cat([X for _, X, _, _ in problems]), torch.cat([y for _, _, y, _ in problems])
    rows = torch.arange(len(y)).view(3, -1).flip(1)
    both = [
        [
            scratch.MLP(copied(layers), own, g, sgd, **options)
            for (layers, *_), own, g, sgd in zip(problems, noises, generators(3), sgds, strict=True)
        ]
        for _ in range(2)
    ]
    stacked = Stack(both[0], X, y, rows.shape[1], n)
    outputs = stacked.train_epoch(rows, LRS)
    stacked.write_back()
    for r, (ours, alone) in enumerate(zip(*both, strict=True)):
        epsilon = torch.zeros(3, n, SIZES[0]) if stacked.noise.epsilon is None else stacked.noise.epsilon[r]
        alone.noises = [None if xi is None else Known(X, known=iter(xi[r])) for xi in stacked.noise.xi]
        alone.input_noise_std = 0
        for k, batch in enumerate(rows[r].split(n)):
            O = alone.step(X[batch] + epsilon[k, : len(batch)], y[batch], LRS[r])
            assert (outputs[r, k * n : k * n + len(batch)] - O).abs().max() <= 1e-12
        for name, tensor in ours.state().items():
            assert (tensor - alone.state()[name]).abs().max() <= 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.9])  # without it the product that gives a gradient is the update
@pytest.mark.parametrize("on", ["after", "before", "weights"])
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_a_stack_takes_the_pages_steps_with_each_noise(noise: Noise, on: str, momentum: float) -> None:
    """On images, on a hidden layer or nowhere, from run to run."""
    noises: list[list[Noise | None]] = [[noise] * 3, [None, noise, None], []]
    agrees_with_the_page(noises, [SGD(momentum=momentum)] * 3, placement=on, input_noise_std=0.1)


@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize(
    "sgds",
    [
        [SGD(), SGD(divisor=16), SGD(max_norm=1.5)],
        [SGD(), SGD(divisor=16), SGD(weight_decay=0.1)],
        [SGD(l1=0.01), SGD(max_norm=1.5), SGD(weight_decay=0.1, l1=0.01, max_norm=1.0)],
        [SGD(momentum=0.9), SGD(momentum=0.9, weight_decay=0.1), SGD(momentum=0.9, divisor=16, max_norm=1.0)],
        [SGD(momentum=0.9, nesterov=True), SGD(momentum=0.9, nesterov=True, l1=0.01), SGD(momentum=0.9, nesterov=True)],
    ],
)
def test_each_run_of_a_stack_has_its_own_sgd(sgds: list[SGD], output_relu: bool) -> None:
    noises: list[list[Noise | None]] = [[None, Inverted(0.2), Inverted(0.5)], [], [Gaussian(0.1), None, None]]
    agrees_with_the_page(noises, sgds, output_relu=output_relu, label_smoothing=0.1)


def test_labels_are_smoothed_and_images_noisy_in_the_runs_that_ask_for_it() -> None:
    layers, X, y, _ = problem(SIZES, 12, dtype=torch.float64)
    options: list[dict[str, Any]] = [{}, {"label_smoothing": 0.2}, {"input_noise_std": 0.5}]
    pages = [scratch.MLP(copied(layers), [], torch.Generator(), SGD(), **own) for own in options]
    stacked = Stack(pages, X, y, 12, 12)
    outputs = stacked.train_epoch(torch.arange(12).expand(3, -1), [0.1] * 3)
    stacked.write_back()
    for smoothing, ours in zip((0.0, 0.2), pages[:2], strict=True):
        alone = scratch.MLP(copied(layers), [], torch.Generator(), SGD(), label_smoothing=smoothing)
        alone.step(X, y, 0.1)
        assert worst_error(ours.layers, alone.layers) <= 1e-12
    assert torch.equal(outputs[0], outputs[1]) and not torch.allclose(outputs[0], outputs[2])
    assert stacked.noise.epsilon is not None
    assert not stacked.noise.epsilon[:2].any()
    assert stacked.noise.epsilon[2].std().item() == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("placement", ["after", "before", "weights"])
def test_in_eval_mode_each_run_scales_by_what_its_noises_say(placement: str) -> None:
    layers, X, y, _ = problem(SIZES, 9, dtype=torch.float64)
    noises: list[list[Noise | None]] = [[Classic(0.1), Classic(0.5), None], [], [None, Inverted(0.5), Classic(0.3)]]
    options: Any = {"placement": placement}
    pages = [scratch.MLP(copied(layers), own, torch.Generator(), SGD(), **options) for own in noises]
    stacked = Stack(pages, X, y, 9, 9)
    for r, alone in enumerate(pages):
        assert (stacked.logits(X)[r] - alone.logits(X)).abs().max() <= 1e-12
        assert (stacked.logits(X.expand(3, 9, -1))[r] - alone.logits(X)).abs().max() <= 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("n", [256, 96])
def test_gradients_in_float32_are_autograds_within_a_millionth(n: int, momentum: float) -> None:
    problems = [problem([784, 256, 256, 10], n, seed=seed) for seed in range(3)]
    X, y = torch.cat([X for _, X, _, _ in problems]), torch.cat([y for _, _, y, _ in problems])
    pages = [scratch.MLP(layers, injected(xi), torch.Generator(), SGD(momentum)) for layers, _, _, xi in problems]
    stacked = Stack(pages, X, y, n, 256)
    lr = 1024.0  # the step can be told from parameters that are next to nothing beside it
    stacked.train_epoch(torch.arange(3 * n).view(3, n), [lr] * 3)
    for r, (layers, X_r, y_r, xi) in enumerate(problems):
        steps = [
            ((W.double() - V[r].double()) / lr, (b.double() - c[r, 0].double()) / lr)
            for (W, b), (V, c) in zip(layers, stacked.layers, strict=True)
        ]
        assert worst_error(steps, reference(layers, X_r, y_r, xi).grads) <= 1e-6


# What a stack draws


def empty_stack(
    noises: Sequence[Sequence[Noise | None]], n: int = 256, sizes: Sequence[int] = (5, 64, 32, 10), **options: Any
) -> Stack:
    """To draw at most three steps of each run's noises; run r has a generator of seed r."""
    layers = scratch.init_params(sizes, torch.Generator())
    pages = [
        scratch.MLP(copied(layers), own, g, SGD(), **options)
        for own, g in zip(noises, generators(len(noises)), strict=True)
    ]
    return Stack(pages, torch.zeros(n, sizes[0]), torch.zeros(n, dtype=torch.int64), 3 * n, n)


def drawn(stacked: Stack, steps: int = 3) -> list[Tensor | None]:
    """ξ of every layer of the next steps, (R, steps, …)."""
    stacked.noise.draw([0.0] * steps)
    return [None if xi is None else xi[:, :steps].clone() for xi in stacked.noise.xi]


def test_every_lane_of_every_run_drops_at_its_own_rate() -> None:
    noises: list[list[Noise | None]] = [
        [None, Inverted(0.2), Inverted(0.5)],
        [],
        [None, Randn2019(0.2), Randn2019(0.5)],
        [None, Inverted(0.0), Inverted(1.0)],
        [None, Randn2019(0.0), Randn2019(1.0)],
        [None, Unscaled(0.2), Classic(0.5)],
    ]
    phi = [1 - 0.5 * (1 + math.erf(keep / math.sqrt(2))) for keep in (0.8, 0.5, 1.0)]
    rates = [(0.2, 0.5), (0.0, 0.0), (phi[0], phi[1]), (0.0, 1.0), (phi[2], 1.0), (0.2, 0.5)]
    scales = [(1 / 0.8, 2.0), (1.0, 1.0), (1 / 0.8, 2.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    of_images, *of_hidden = drawn(empty_stack(noises, n=2048))
    assert of_images is None  # no run has noise there, and no memory is taken for it
    for r, i in itertools.product(range(6), range(2)):
        every, p, scale = of_hidden[i], rates[r][i], torch.tensor(scales[r][i])
        assert every is not None
        xi = every[r]
        assert set(xi.unique().tolist()) <= {0.0, scale.item()}
        lanes = (xi.reshape(-1, 4) == 0).double().mean(dim=0)  # the four of a 64-bit draw
        assert (lanes - p).abs().max() <= 5 * math.sqrt(p * (1 - p) / (xi.numel() / 4)) + 1 / 131072


MOMENTS: list[tuple[type[Any], float, float]] = [
    (Inverted, 1.0, 0.3 / 0.7),
    (Unscaled, 0.7, 0.3 * 0.7),
    (Classic, 0.7, 0.3 * 0.7),
    (Randn2019, 0.7580363 / 0.7, 0.7580363 * 0.2419637 / 0.49),  # Φ(0.7) = 0.7580363
    (Gaussian, 1.0, 0.3 / 0.7),
    (ThreePoint, 1.0, 0.3 / 1.4),
]


@pytest.mark.parametrize("on", ["after", "weights"])
@pytest.mark.parametrize(("kind", "mean", "variance"), MOMENTS)
def test_what_a_stack_draws_has_the_noises_mean_and_variance(
    kind: type[Any], mean: float, variance: float, on: str
) -> None:
    stacked = empty_stack([[], [kind(0.3)] * 3], sizes=(300, 200, 100, 10), n=128, placement=on)
    for every in drawn(stacked)[:2]:
        assert every is not None
        xi = every[1].double()
        assert abs(xi.mean() - mean) < 5 * math.sqrt(variance / xi.numel())
        fourth = ((xi - mean) ** 4).mean()
        assert abs(xi.var() - variance) < 5 * math.sqrt((fourth - variance**2) / xi.numel())
        assert (every[0] == 1).all()  # the run without noise


@pytest.mark.parametrize("kind", [Inverted, Unscaled, Classic])
def test_a_shared_mask_is_one_for_all_rows_and_another_in_every_step(kind: type[Any]) -> None:
    _, xi, _ = drawn(empty_stack([[None, kind(0.5, shared=True), None], [None, kind(0.5), None]]))
    assert xi is not None
    assert (xi[0] == xi[0, :, :1]).all() and not (xi[1] == xi[1, :, :1]).all()
    assert not torch.equal(xi[0, 0], xi[0, 1])


def test_a_run_draws_the_same_in_any_stack() -> None:
    """Whatever its neighbours draw, and on which layers."""
    noises: list[list[Noise | None]] = [
        [],
        [Inverted(0.4), Gaussian(0.2), Inverted(0.5)],
        [None, Inverted(0.1, shared=True), Randn2019(0.3)],
        [None, None, ThreePoint(0.3)],
    ]
    together = empty_stack(noises, input_noise_std=0.1)
    lone = [empty_stack([own], input_noise_std=0.1) for own in noises]
    for r, one in enumerate(lone):
        one.pages[0].generator.manual_seed(r)
    for steps in (3, 1):
        in_company, alone = drawn(together, steps), [drawn(one, steps) for one in lone]
        for r, i in itertools.product(range(4), range(3)):
            every, own = in_company[i], alone[r][i]
            assert every is not None
            assert torch.equal(every[r], torch.ones(()).expand_as(every[r]) if own is None else own[0])
        for r, one in enumerate(lone):
            assert together.noise.epsilon is not None and one.noise.epsilon is not None
            assert torch.equal(together.noise.epsilon[r, :steps], one.noise.epsilon[0, :steps])
            assert torch.equal(together.pages[r].generator.get_state(), one.pages[0].generator.get_state())


def test_a_run_without_noise_draws_nothing() -> None:
    stacked = empty_stack([[], [None, Inverted(0.5), None]])
    drawn(stacked)
    assert torch.equal(stacked.pages[0].generator.get_state(), generators(1)[0].get_state())


def test_a_run_without_noise_has_no_say_in_what_the_noise_is_on() -> None:
    first, second = Config(variant="none", placement="before"), Config(variant="gaussian")
    assert stack_shape(first) == stack_shape(second)
    pages = [reference_mlp(config, stream(0, "init"), stream(0, "noise")) for config in (first, second)]
    assert Stack(pages, torch.zeros(8, 784), torch.zeros(8, dtype=torch.int64), 8, 8).noise.placement == "after"


def test_noise_of_other_steps_runs_and_units_is_independent() -> None:
    _, xi, _ = drawn(empty_stack([[None, Inverted(0.5), None]] * 2, n=512))
    assert xi is not None
    a = xi - 1  # of variance 1
    for other in (a.roll(1, 0), a.roll(1, 1), a.roll(1, 2), a.roll(1, 3)):
        assert abs((a * other).double().mean()) < 5 / math.sqrt(a.numel() / 2)


@pytest.mark.parametrize("kind", [Inverted, Gaussian])
@pytest.mark.parametrize("schedule", [early(0.5), late(0.5), curriculum, random_rate])
def test_each_step_has_the_drop_probability_of_its_schedule(schedule: DropSchedule, kind: type[Any]) -> None:
    layers, done = scratch.init_params([5, 4000, 10], torch.Generator()), [0.0, 0.4, 0.6, 0.8]
    noises: list[Noise | None] = [None, kind(0.3)]
    pages = [
        scratch.MLP(layers, noises, g, SGD(), schedule=own)
        for own, g in zip((None, schedule), generators(2), strict=True)
    ]
    stacked = Stack(pages, torch.zeros(64, 5), torch.zeros(64, dtype=torch.int64), 4 * 64, 64)
    stacked.noise.draw(done)
    xi = stacked.noise.xi[1]
    assert xi is not None
    again = torch.Generator().manual_seed(1)
    for r, rates in enumerate(([0.3] * 4, [schedule(0.3, share, again) for share in done])):
        for k, p in enumerate(rates):
            assert xi[r, k].double().var().item() == pytest.approx(p / (1 - p), rel=0.05, abs=1e-4)
    assert pages[1].noises == [None, kind(rates[-1])]  # for who evaluates the page


def test_schedules_are_told_how_far_the_training_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(scratch.MLP, "set_rates", lambda self, done: told.append(done))
    X, y, rows = torch.zeros(5, 5), torch.zeros(5, dtype=torch.int64), 4 * BLOCK + 6
    stacked = Stack(empty_stack([[]]).pages, X, y, rows, 4)
    stacked.train_epoch(torch.zeros(1, rows, dtype=torch.int64), [0.1], epoch=3, epochs=4)
    assert told == [(2 + start / rows) / 4 for start in range(0, rows, 4)]


@pytest.mark.parametrize("num_rows", [3, 4, BLOCK * 4, BLOCK * 4 + 2, BLOCK * 4 * 2 + 4 * 3 + 2])
def test_an_epoch_of_any_length_gives_every_row_its_output(num_rows: int) -> None:
    n = 4
    layers, X, y, _ = problem(SIZES, num_rows)
    page = scratch.MLP(copied(layers), [], torch.Generator(), SGD())
    stacked = Stack([page, page], X, y, num_rows, n)
    rows = torch.stack([torch.randperm(num_rows, generator=g) for g in generators(2)])
    outputs = stacked.train_epoch(rows, [1e-9, 1e-9])
    assert torch.allclose(outputs, page.logits(X)[rows], atol=1e-5)


# Captured networks, with a graph that can be had on a CPU: it computes anew what a graph would replay


class Recomputed:
    def __init__(self, step: Callable[[], Tensor]) -> None:
        self.step, self.result = step, step()

    def replay(self) -> None:
        self.result.copy_(self.step())


@pytest.fixture
def recomputing(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(step: Callable[[], Tensor], device: torch.device) -> tuple[Recomputed, Tensor]:
        for _ in range(cuda_graph.WARM_UPS):
            step()
        graph = Recomputed(step)
        return graph, graph.result

    monkeypatch.setattr(cuda_graph, "capture", capture)


def network(kind: type[torch_nn.TorchMLP], sgd: SGD, device: torch.device = CPU) -> torch_nn.TorchMLP:
    layers, *_ = problem(SIZES, 1)
    layers = [(W.to(device), b.to(device)) for W, b in layers]
    net = torch_nn.mlp(SIZES, [None, nn.Dropout(0.2), nn.Dropout(0.5)])
    return kind(net, layers, torch.Generator(device).manual_seed(0), sgd, noise_at_eval=False)


def compare_steps(a: torch_nn.TorchMLP, b: torch_nn.TorchMLP, tolerance: float) -> None:
    """Whole and smaller batches, another rate, a loaded state in between."""
    device = a.generator.device
    _, X, y, _ = (tensor.to(device) if isinstance(tensor, Tensor) else tensor for tensor in problem(SIZES, 32))
    assert isinstance(X, Tensor) and isinstance(y, Tensor)
    for step, (n, lr) in enumerate([(32, 0.5), (32, 0.5), (9, 0.5), (32, 0.1), (9, 0.1)]):
        assert (a.step(X[:n], y[:n], lr) - b.step(X[:n], y[:n], lr)).abs().max() <= tolerance
        if step == 0:  # before a step like it: its graph knows the tensors of before
            for one in (a, b):
                one.load(copy.deepcopy(one.state()))
    assert torch.equal(a.generator.get_state(), b.generator.get_state())
    assert (a.logits(X) - b.logits(X)).abs().max() <= tolerance


@pytest.mark.parametrize("sgd", [SGD(), SGD(momentum=0.9, weight_decay=0.01, divisor=4)])
def test_a_captured_network_changes_and_draws_nothing_but_by_its_steps(sgd: SGD, recomputing: None) -> None:
    networks = network(cuda_graph.GraphedMLP, sgd), network(torch_nn.TorchMLP, sgd)
    before = torch.get_rng_state()
    compare_steps(*networks, 0.0)
    assert torch.equal(torch.get_rng_state(), before)  # the program's own draws neither


def test_products_of_a_gpu_are_ieee_float32_within_and_as_before_after() -> None:
    matmul = torch.backends.cuda.matmul
    for before in (True, False):
        matmul.allow_tf32 = before
        with cuda_graph.ieee_matmul():
            assert not matmul.allow_tf32
        assert matmul.allow_tf32 == before


@on_cuda
@pytest.mark.parametrize("sgd", [SGD(), SGD(momentum=0.9, weight_decay=0.01)])
def test_a_captured_network_steps_as_uncaptured_on_cuda(sgd: SGD) -> None:
    device = torch.device("cuda")
    compare_steps(network(cuda_graph.GraphedMLP, sgd, device), network(torch_nn.TorchMLP, sgd, device), 1e-5)


@on_cuda
@pytest.mark.parametrize("on", ["after", "before", "weights"])
@pytest.mark.parametrize("sgd", [SGD(), SGD(momentum=0.9, weight_decay=0.01, nesterov=True, l1=0.001, max_norm=1.0)])
def test_a_captured_block_is_the_uncaptured_one_on_cuda(
    sgd: SGD, on: Literal["after", "before", "weights"], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, num_rows, ends = torch.device("cuda"), 64 * (BLOCK + 2) + 10, []
    layers, X, y, _ = problem([784, 256, 256, 10], num_rows)
    X, y = X.to(device), y.to(device)
    for is_captured in (True, False):
        if not is_captured:
            monkeypatch.setattr(cuda_graph, "capture", lambda steps, device: (Eager(steps), None))
            monkeypatch.setattr(cuda_graph, "beside", lambda device: nullcontext())
        on_device = [(W.to(device), b.to(device)) for W, b in layers]
        noises = [torch.Generator(device).manual_seed(seed) for seed in range(3)]
        own: list[Noise | None] = [Inverted(0.1), Inverted(0.2, shared=True), Gaussian(0.5)]
        pages = [scratch.MLP(copied(on_device), own, g, sgd, placement=on, input_noise_std=0.1) for g in noises]
        stacked = Stack(pages, X, y, num_rows, 64)
        for lr in (0.1, 0.05):  # which a graph must not know
            outputs = stacked.train_epoch(torch.arange(num_rows, device=device).expand(3, -1), [lr] * 3)
        ends.append((outputs.clone(), stacked.theta.clone()))
    for a, b in zip(*ends, strict=True):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


class Eager:
    """A graph that launches its steps one by one."""

    def __init__(self, steps: Callable[[], None]) -> None:
        self.replay = steps

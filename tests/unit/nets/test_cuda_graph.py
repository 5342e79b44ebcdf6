"""Captured networks step like uncaptured ones. On a CPU, a fake graph repeats the computation instead of a replay."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import pytest
import torch
from helpers.autograd import copies, problem
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from dropexp.nets import cuda_graph, from_scratch, torch_nn
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.noise import Gaussian, Inverted, Noise
from dropexp.nets.schedules import DropSchedule, curriculum
from dropexp.nets.sgd import SGD
from dropexp.nets.stacked import BLOCK, Stack

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SIZES = [20, 7, 6, 10]
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")


class Recomputed:
    """A fake graph that runs its step again."""

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


def network(
    kind: type[torch_nn.TorchMLP],
    optimizer: Optimizer,
    device: torch.device = CPU,
    schedule: DropSchedule | None = None,
) -> torch_nn.TorchMLP:
    layers, *_ = problem(SIZES, 1)
    layers = [(W.to(device), b.to(device)) for W, b in layers]
    net = torch_nn.mlp(SIZES, [None, nn.Dropout(0.2), nn.Dropout(0.5)])
    generator = torch.Generator(device).manual_seed(0)
    return kind(net, layers, generator, optimizer, noise_at_eval=False, schedule=schedule)


def compare_steps(a: torch_nn.TorchMLP, b: torch_nn.TorchMLP, tolerance: float) -> None:
    """Compare steps of full and smaller batches, at two learning rates, with a restored state in between."""
    device = a.generator.device
    _, X, y, _ = (tensor.to(device) if isinstance(tensor, Tensor) else tensor for tensor in problem(SIZES, 32))
    assert isinstance(X, Tensor) and isinstance(y, Tensor)
    for step, (n, lr) in enumerate([(32, 0.5), (32, 0.5), (9, 0.5), (32, 0.1), (9, 0.1)]):
        assert (a.step(X[:n], y[:n], lr) - b.step(X[:n], y[:n], lr)).abs().max() <= tolerance
        if step == 0:  # the next step has the same shape, and its graph used the old tensors
            for one in (a, b):
                one.load(copy.deepcopy(one.state()))
    assert torch.equal(a.generator.get_state(), b.generator.get_state())
    assert (a.logits(X) - b.logits(X)).abs().max() <= tolerance


@pytest.mark.parametrize(
    "optimizer", [SGD(), SGD(momentum=0.9, weight_decay=0.01, divisor=4), Adam(0.01), Adam(0.01, decoupled=True)]
)
def test_capturing_changes_neither_parameters_nor_generators(optimizer: Optimizer, recomputing: None) -> None:
    """Nor the moments and the step count of Adam: the steps before a capture do not count."""
    networks = network(cuda_graph.GraphedMLP, optimizer), network(torch_nn.TorchMLP, optimizer)
    before = torch.get_rng_state()
    compare_steps(*networks, 0.0)
    assert torch.equal(torch.get_rng_state(), before)  # the program's own generator too


def test_a_captured_network_has_no_schedule_which_a_replay_would_ignore() -> None:
    with pytest.raises(ValueError, match="use TorchMLP for a schedule"):
        network(cuda_graph.GraphedMLP, SGD(), schedule=curriculum)


class Recorded(Stack):
    """A stack whose block is recorded as a CUDA graph records it: what is not in a tensor is a constant."""

    def _run(self, num_rows: int) -> None:
        if not hasattr(self, "recording"):
            self.recording = make_fx(lambda: Stack._run(self, num_rows))()  # takes the steps, too
        else:
            self.recording()


@pytest.mark.parametrize("optimizer", [SGD(), SGD(momentum=0.9), Adam(0.01), Adam(0.01, decoupled=True)], ids=str)
def test_a_replayed_block_has_the_current_lr_and_step_count(optimizer: Optimizer) -> None:
    layers, X, y, _ = problem(SIZES, 21)
    ends = []
    for kind in (Stack, Recorded):
        networks = [from_scratch.MLP(copies(layers), [], torch.Generator(), optimizer) for _ in range(2)]
        stacked = kind(networks, X, y, 21, 8)
        for lr in (0.1, 0.1, 0.05):
            outputs = stacked.train_epoch(torch.arange(21).expand(2, -1), [lr, lr / 2])
        ends.append((outputs, stacked.theta))
    for a, b in zip(*ends, strict=True):
        assert torch.equal(a, b)


def test_tensors_are_restored_after_an_error_too() -> None:
    tensor = torch.zeros(3)
    with pytest.raises(ValueError, match="no"), cuda_graph.restored([tensor]):
        tensor += 1
        raise ValueError("no")
    assert torch.equal(tensor, torch.zeros(3))


def test_ieee_matmul_disables_tf32_and_restores_it() -> None:
    matmul = torch.backends.cuda.matmul
    for before in (True, False):
        matmul.allow_tf32 = before
        with cuda_graph.ieee_matmul():
            assert not matmul.allow_tf32
        assert matmul.allow_tf32 == before


@on_cuda
@pytest.mark.parametrize("optimizer", [SGD(), SGD(momentum=0.9, weight_decay=0.01), Adam(0.01, decoupled=True)])
def test_a_captured_network_steps_like_an_uncaptured_one_on_cuda(optimizer: Optimizer) -> None:
    device = torch.device("cuda")
    captured, uncaptured = (network(kind, optimizer, device) for kind in (cuda_graph.GraphedMLP, torch_nn.TorchMLP))
    compare_steps(captured, uncaptured, 1e-5)


@on_cuda
@pytest.mark.parametrize("on", ["after", "before", "weights"])
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(),
        SGD(momentum=0.9, weight_decay=0.01, nesterov=True, l1=0.001, max_norm=1.0),
        Adam(0.01, decoupled=True, max_norm=1.0),
    ],
)
def test_a_captured_block_equals_an_uncaptured_one_on_cuda(
    optimizer: Optimizer, on: Literal["after", "before", "weights"], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, num_rows, ends = torch.device("cuda"), 64 * (BLOCK + 2) + 10, []
    layers, X, y, _ = problem([784, 256, 256, 10], num_rows)
    X, y = X.to(device), y.to(device)
    for is_captured in (True, False):
        if not is_captured:
            monkeypatch.setattr(cuda_graph, "capture", lambda steps, device: (Eager(steps), None))
            monkeypatch.setattr(cuda_graph, "side_stream", lambda device: nullcontext())
        on_device = [(W.to(device), b.to(device)) for W, b in layers]
        noises = [torch.Generator(device).manual_seed(seed) for seed in range(3)]
        own: list[Noise | None] = [Inverted(0.1), Inverted(0.2, shared=True), Gaussian(0.5)]
        networks = [
            from_scratch.MLP(copies(on_device), own, g, optimizer, placement=on, input_noise_std=0.1) for g in noises
        ]
        stacked = Stack(networks, X, y, num_rows, 64)
        for lr in (0.1, 0.05):  # a graph must not contain the learning rate
            outputs = stacked.train_epoch(torch.arange(num_rows, device=device).expand(3, -1), [lr] * 3)
        ends.append((outputs.clone(), stacked.theta.clone()))
    for a, b in zip(*ends, strict=True):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


class Eager:
    """A fake graph that launches its steps one by one."""

    def __init__(self, steps: Callable[[], None]) -> None:
        self.replay = steps

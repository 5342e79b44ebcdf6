"""CUDA graphs: what a step launches is recorded once and then replayed, by one call instead of some thirty.

A small step is all launches: at 256 rows a GPU computes faster than a CPU can tell it what to do. A graph is recorded
from the very code that runs without one. What it reads and writes must stay where it was: replays know addresses only.
Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs, "Whole-network capture".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from dropexp.nets import torch_nn

WARM_UPS = 3  # steps before a capture, as in torch's recipe: libraries set themselves up, which no graph may record
Result = TypeVar("Result")


def capture(step: Callable[[], Result], device: torch.device) -> tuple[torch.cuda.CUDAGraph, Result]:
    """A graph of what `step()` launches on this CUDA device, and what `step` returned: `replay()` fills that anew.

    The steps that warm up are real ones; capturing itself computes nothing. No host value may be read in a step.
    """
    with torch.cuda.device(device), ieee_matmul():
        stream = _stream(device, "capture")
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            result = step()
    return graph, result


@cache
def _stream(device: torch.device, purpose: str) -> torch.cuda.Stream:
    """One for all captures and what warms them up, one for what runs beside: libraries keep memory for each stream."""
    return torch.cuda.Stream(device)


@contextmanager
def beside(device: torch.device) -> Iterator[None]:
    """Within it work comes after all that was launched before, and on CUDA nothing waits for it until `join`."""
    if device.type != "cuda":
        yield
        return
    stream = _stream(device, "beside")
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield


def join(device: torch.device) -> None:
    """What is launched from here on comes after all that was launched `beside`."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).wait_stream(_stream(device, "beside"))


@contextmanager
def unchanged(tensors: Sequence[Tensor]) -> Iterator[None]:
    """After it these tensors hold what they held before it."""
    before = [tensor.detach().clone() for tensor in tensors]
    yield
    with torch.no_grad():
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)


@contextmanager
def ieee_matmul() -> Iterator[None]:
    """Within it a GPU multiplies float32 matrices in float32, not in TF32, if torch was told to; then as before.

    A captured product keeps the precision that it was captured with.
    """
    matmul: Any = torch.backends.cuda.matmul
    tf32 = matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32
    if tf32:
        matmul.allow_tf32 = False  # sets the newer `fp32_precision` too; that alone would leave the two at odds
    try:
        yield
    finally:
        if tf32:
            matmul.allow_tf32 = True


class GraphedMLP(torch_nn.TorchMLP):
    """A torch.nn network whose whole step is captured: forward, loss, backward and optimiser in one replay.

    There is a graph for each number of rows, at the learning rate in force: another rate takes another capture.
    `nn.Dropout` draws from torch's default generator, whose seed and offset a replay reads when it is launched: a step
    sets them to the run's just before.
    """

    lr: float | None = None

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """As uncaptured, without a schedule. The outputs stay in a buffer of the graph until its next replay."""
        if lr != self.lr:  # it is a constant of every graph
            self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}
            self.lr = lr
        if len(X) not in self.graphs:
            self.graphs[len(X)] = self._capture(X.clone(), y.clone(), lr)
        graph, X_read, y_read, logits = self.graphs[len(X)]
        X_read.copy_(X)
        y_read.copy_(y)
        with torch_nn.as_default_generator(self.generator):
            graph.replay()
        return logits

    def _capture(self, X: Tensor, y: Tensor, lr: float) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]:
        drawn = self.generator.get_state()
        parameters = list(self.net.parameters())
        with unchanged([*parameters, *self._velocities()]), torch_nn.as_default_generator(self.generator):
            graph, logits = capture(lambda: self.descend(X, y, lr), X.device)
        self.generator.set_state(drawn)
        return graph, X, y, logits

    def _velocities(self) -> list[Tensor]:
        """Those of the optimiser, which makes them in its first step: zeros, if there was none, do the same."""
        return [
            self.optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
            for group in self.optimizer.param_groups
            if group["momentum"]
            for parameter in group["params"]
        ]

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved `state()`."""
        super().load(state)
        self.lr = None  # the optimiser's tensors are others now, which no graph knows

"""CUDA graphs: record the kernels that a step launches once, and replay them with one call instead of some thirty.

With 256 rows, a GPU computes a step faster than a CPU can launch its kernels. A graph is recorded from the same code
that runs without one. A replay uses the addresses of the recording, so inputs and outputs must stay in their buffers.
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

WARM_UPS = 3  # steps before a capture, as in torch's recipe: libraries initialise, which a graph cannot record
Result = TypeVar("Result")


def capture(step: Callable[[], Result], device: torch.device) -> tuple[torch.cuda.CUDAGraph, Result]:
    """Record what `step()` launches on this CUDA device. Return the graph and the result, which a replay overwrites.

    The warm-up steps are executed, the recorded one is not. A step must not read values from the device.
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
    """Return the one stream for a purpose. Libraries keep memory for each stream, so there are only two."""
    return torch.cuda.Stream(device)


@contextmanager
def side_stream(device: torch.device) -> Iterator[None]:
    """Launch the block's work after all earlier work; on CUDA, later work may overlap it until `join_side_stream`."""
    if device.type != "cuda":
        yield
        return
    stream = _stream(device, "side")
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield


def join_side_stream(device: torch.device) -> None:
    """Make later work wait for the work of `side_stream`."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).wait_stream(_stream(device, "side"))


@contextmanager
def restored(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Restore the values of these tensors at the end."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


@contextmanager
def ieee_matmul() -> Iterator[None]:
    """Multiply float32 matrices on a GPU in float32, not in TF32, then restore torch's own setting.

    A captured matrix product keeps the precision that it was captured with.
    """
    matmul: Any = torch.backends.cuda.matmul
    tf32 = matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32
    if tf32:
        matmul.allow_tf32 = False  # also sets the newer `fp32_precision`; setting that alone leaves them inconsistent
    try:
        yield
    finally:
        if tf32:
            matmul.allow_tf32 = True


class GraphedMLP(torch_nn.TorchMLP):
    """A torch.nn network whose whole step is one CUDA graph: forward, loss, backward and optimiser.

    There is a graph for each number of rows, at the current learning rate; another rate needs another capture.
    `nn.Dropout` samples from torch's default generator, whose state a replay reads when it is launched: `step` sets it
    to the run's generator just before.
    """

    lr: float | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.schedule:
            raise ValueError("a captured step has fixed drop probabilities; use TorchMLP for a schedule")

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """Train on one batch and return its outputs, in a buffer that the next step overwrites. Ignores `progress`."""
        if lr != self.lr:  # a constant in every graph
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
        generator_state = self.generator.get_state()
        parameters = list(self.net.parameters())
        with restored([*parameters, *self._moments()]), torch_nn.as_default_generator(self.generator):
            graph, logits = capture(lambda: self.descend(X, y, lr), X.device)
        self.generator.set_state(generator_state)
        return graph, X, y, logits

    def _moments(self) -> list[Tensor]:
        """Return the tensors of the optimiser's state; create missing ones as zeros, as its first step would."""
        return [
            self.torch_optimizer.state[parameter].setdefault(name, parameter.new_zeros(shape))
            for parameter in self.net.parameters()
            for name, shape in torch_nn.state_shapes(self.optimizer, parameter).items()
        ]

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.lr = None  # the graphs use the optimiser's old tensors

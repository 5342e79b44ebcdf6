"""Time an epoch on this machine: `nn`, `scratch`, the book's loop, and the matrix products alone.

All contenders are timed in one process, in turn, round after round. If the speed of the machine drifts, it affects all
of them alike, so ratios are more reliable than seconds.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dropexp.config.schema import Config
from dropexp.data import dataset_files
from dropexp.data.fashion_mnist import Data, load
from dropexp.interrupts import delay_interrupts
from dropexp.nets import matmul
from dropexp.nets.torch_nn import mlp
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.torch_settings import own_settings
from dropexp.training.trainees import EVAL_ROWS, evaluate, train_epoch
from dropexp.training.workers import starting_a_worker

SIZES, DROP_PROBS, LR, BATCH = [784, 256, 256, 10], [0.2, 0.5], 0.5, 256
BOOK, NN, SCRATCH, MATMULS = "the book's loop", "nn", "scratch", "matrix products alone"


@dataclass(frozen=True)
class Timing:
    """Seconds per epoch of one contender in each round: training, and evaluation of 10,000 images."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class BenchmarkResult:
    """The timings in the order of the contenders, and their circumstances."""

    timings: list[Timing]
    threads: int
    backend: str  # for matrix products of all contenders but the book's loop
    peak_mb: float | None  # of an epoch, in 10⁶ bytes more than torch takes once imported and used; None: unknown

    def seconds(self, name: str) -> float:
        """Return the median seconds per epoch of a contender."""
        return next(timing.median for timing in self.timings if timing.name == name)


@own_settings()
def run(root: Path, rounds: int) -> BenchmarkResult:
    """Time `rounds` epochs of each contender on the data under `root`, after a warm-up epoch."""
    backend = matmul.best_backend()
    data = load(root)
    with tempfile.TemporaryDirectory() as unpacked:
        raw = Path(unpacked) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for name, content in dataset_files.read(root).items():
            (raw / name).write_bytes(content)
        contenders: dict[str, Callable[[], object]] = {
            BOOK: _book(Path(unpacked)),
            NN: _ours(NN, data, backend),
            SCRATCH: _ours(SCRATCH, data, backend),
            MATMULS: matmuls(data, backend),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds + 1):
            for name, epoch in contenders.items():
                start = time.perf_counter()
                epoch()
                seconds[name].append(time.perf_counter() - start)
    timings = [Timing(name, measured[1:]) for name, measured in seconds.items()]
    return BenchmarkResult(timings, torch.get_num_threads(), backend, _peak_mb(root))


def _book(root: Path) -> Callable[[], object]:
    """Return an epoch of the book's loop (d2l-zh, 3.6.6 and 3.13.3): DataLoader, ToTensor, `.item()` in each step."""
    with delay_interrupts():
        from torch.utils.data import DataLoader
        from torchvision.datasets import FashionMNIST
        from torchvision.transforms import ToTensor

    train, test = (FashionMNIST(str(root), train=train, transform=ToTensor()) for train in (True, False))
    train_iter, test_iter = DataLoader(train, BATCH, shuffle=True), DataLoader(test, BATCH)
    net = nn.Sequential(nn.Flatten(), *mlp(SIZES, [None, *map(nn.Dropout, DROP_PROBS)]))
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.01)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)
    loss = nn.CrossEntropyLoss()

    def epoch() -> tuple[float, float]:
        net.train()
        train_loss, train_correct = 0.0, 0.0
        for X, y in train_iter:
            y_hat = net(X)
            batch_loss = loss(y_hat, y)
            optimizer.zero_grad()
            batch_loss.backward()
            optimizer.step()
            train_loss += batch_loss.item()
            train_correct += (y_hat.argmax(dim=1) == y).sum().item()
        net.eval()
        with torch.no_grad():
            test_correct = sum((net(X).argmax(dim=1) == y).float().sum().item() for X, y in test_iter)
        return train_correct / len(train), test_correct / len(test)

    return epoch


def _ours(variant: str, data: Data, backend: str) -> Callable[[], object]:
    """Return an epoch of `dropexp train`."""
    network = build.network(Config.model_validate({"variant": variant}), stream(0, "init"), stream(0, "noise"))
    order = stream(0, "order")

    def epoch() -> None:
        with matmul.using(backend):
            train_epoch(network, data.X_train, data.y_train, LR, BATCH, order)
            evaluate(network, data.X_test, data.y_test)

    return epoch


def matmuls(data: Data, backend: str) -> Callable[[], object]:
    """Return the matrix products of an epoch: into fixed buffers, without shuffling the images."""
    W = [torch.randn(n, m) * 0.1 for n, m in pairwise(SIZES)]
    dW = [torch.empty_like(w) for w in W]

    def matrices(rows: int) -> list[Tensor]:
        return [torch.rand(rows, m) for m in SIZES[1:]]

    H, D, out, evaluated = matrices(BATCH), matrices(BATCH), matrices(BATCH), matrices(EVAL_ROWS)
    inner = torch.rand(EVAL_ROWS, SIZES[1])  # both hidden layers have the same width

    def epoch() -> None:
        with matmul.using(backend):
            for X in data.X_train.split(BATCH):
                n = len(X)
                inputs = [X, *(h[:n] for h in H[:-1])]
                for i, w in enumerate(W):
                    torch.mm(inputs[i], w, out=out[i][:n])
                for i in reversed(range(len(W))):
                    torch.mm(inputs[i].T, D[i][:n], out=dW[i])
                    if i > 0:
                        torch.mm(D[i][:n], W[i].T, out=out[i - 1][:n])
            for X in data.X_test.split(EVAL_ROWS):
                for i, w in enumerate(W):
                    torch.mm(X if i == 0 else inner, w, out=evaluated[i])

    return epoch


def _peak_mb(root: Path) -> float | None:
    """Measure the peak memory of an epoch in a new process. Return None on Windows."""
    if sys.platform == "win32":
        return None
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe()
    process = spawn.Process(target=_measure_peak, args=(root, sender), daemon=True)
    with starting_a_worker():
        process.start()
    sender.close()
    try:
        peak: float = receiver.recv()
    except EOFError:
        return None
    finally:
        process.kill()  # it has finished, or an interrupt came
        process.join()
    return peak


def _measure_peak(root: Path, result: Connection) -> None:
    """Send the peak memory of an epoch, above that of importing torch and multiplying once."""
    import resource

    def peak() -> float:
        with suppress(OSError, StopIteration):  # ru_maxrss would include the process that forked this one
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
        unit = 1024 if sys.platform == "linux" else 1  # macOS counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

    backend = matmul.best_backend()  # loads both of torch's matrix libraries
    before = peak()
    epoch: Callable[[], Any] = _ours(SCRATCH, load(root), backend)
    epoch()
    result.send(peak() - before)
